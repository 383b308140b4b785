"""Builds every program of the cluster, once per state of the pins, into a folder of the cache named after that state.

Nothing is written into the checkout. A build is complete when its folder has its final name: what was interrupted
keeps the name that ends in `.partial`, and the next build goes on from there.
"""

import hashlib
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.images import write_basic_images
from cluster.layout import CACHE, SOURCES
from cluster.lock import alone
from cluster.processes import run
from cluster.waiting import ClusterError, timed

DEBIAN_PACKAGES = (
    "containerd",
    "runc",
    "containernetworking-plugins",
    "iptables",
    "nftables",
    "iproute2",
    "busybox-static",
    "openssl",
)
# What a build is made from. The scripts that only run the cluster are not part of it.
PINS = (
    "go.mod",
    "go.sum",
    "coredns/main.go",
    "pause/main.go",
    "prometheus/go.mod",
    "prometheus/go.sum",
    "helm_unittest/go.mod",
    "helm_unittest/go.sum",
    "build.py",
    "images.py",
)
STRIP = ("-s", "-w")
KWOK_STAGES = (
    # What simulated nodes and pods do. Without pod-complete, a Job's pods run until they are deleted.
    "node/fast/node-initialize",
    "node/heartbeat-with-lease/node-heartbeat-with-lease",
    "pod/fast/pod-ready",
    "pod/fast/pod-delete",
)


@dataclass(frozen=True)
class Build:
    """One finished build."""

    folder: Path

    @property
    def binaries(self) -> Path:
        return self.folder / "bin"

    @property
    def images(self) -> Path:
        return self.folder / "images"

    @property
    def kwok_stages(self) -> Path:
        return self.folder / "kwok-stages.yaml"


def key_of(files: Mapping[str, bytes], machine: str) -> str:
    """A name for exactly these files on this kind of machine."""
    digest = hashlib.sha256(machine.encode())
    for name, content in sorted(files.items()):
        digest.update(f"\0{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]


def current_build() -> Build:
    """Where the build of this checkout's pins is, or will be."""
    pins = {name: (SOURCES / name).read_bytes() for name in PINS}
    return Build(CACHE / key_of(pins, platform.machine()))


def build() -> Build:
    """The build of this checkout's pins, made now if it is not there."""
    with alone():
        return build_when_alone()


def build_when_alone() -> Build:
    """The same for a caller that holds the lock."""
    install_debian_packages()
    wanted = current_build()
    if wanted.folder.exists():
        return wanted
    print(f"building the cluster's programs into {wanted.folder}: minutes with Go's cache, half an hour without")
    partial = Build(wanted.folder.with_suffix(".partial"))
    partial.folder.mkdir(parents=True, exist_ok=True)
    install_programs(partial.binaries)
    write_kwok_stages(partial.kwok_stages)
    with timed("images"):
        write_basic_images(partial.binaries, partial.images)
    partial.folder.rename(wanted.folder)
    return wanted


def install_debian_packages() -> None:
    query = ["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n", *DEBIAN_PACKAGES]
    # It fails when it does not know one of the names, which is one of the answers we ask for.
    known = subprocess.run(query, check=False, capture_output=True, text=True).stdout.splitlines()
    if missing := [package for package in DEBIAN_PACKAGES if f"{package} installed" not in known]:
        with timed(f"apt-get install {' '.join(missing)}"):
            run("apt-get", "update")
            quietly = ["env", "DEBIAN_FRONTEND=noninteractive"]
            run(*quietly, "apt-get", "install", "-y", "--no-install-recommends", *missing)


def install_programs(binaries: Path) -> None:
    if not shutil.which("go"):
        raise ClusterError("go is not on PATH: install Go 1.26 or newer")
    stamped = [*STRIP, *version_stamp()]
    tags = ["-tags", "remove_all_sd,enable_kubernetes_sd"]  # without them Prometheus brings in every cloud's library
    go_install(binaries, ".", ["tool"], stamped)
    go_install(binaries, ".", ["./coredns", "./pause"], STRIP)
    go_install(binaries, "prometheus", ["tool"], STRIP, tags)
    go_install(binaries, "helm_unittest", ["tool"], STRIP)
    (binaries / "etcd").unlink(missing_ok=True)
    (binaries / "etcd").symlink_to("server")  # named after its package path, go.etcd.io/etcd/server/v3


def version_stamp() -> Iterator[str]:
    """Unstamped, the API server calls itself v0.0.0-master, which `kubeVersion` in a chart then refuses."""
    version = _module("k8s.io/kubernetes", "{{.Version}}")
    major, minor, _ = version.removeprefix("v").split(".")
    for name, value in {"gitVersion": version, "gitMajor": major, "gitMinor": minor}.items():
        yield f"-X k8s.io/component-base/version.{name}={value}"


def go_install(
    binaries: Path, module: str, targets: Sequence[str], linker: Sequence[str], flags: Sequence[str] = ()
) -> None:
    """`go install` in one of our modules. Static programs, for the images need them and no C compiler is wanted."""
    environment = os.environ | {"CGO_ENABLED": "0", "GOBIN": str(binaries), "GOFLAGS": "-buildvcs=false"}
    command = ["go", "install", "-trimpath", *flags, f"-ldflags={' '.join(linker)}", *targets]
    with timed(f"go install {' '.join(targets)} ({module})"):
        done = subprocess.run(command, cwd=SOURCES / module, env=environment, check=False)
    if done.returncode:
        raise ClusterError(f"`{' '.join(command)}` in {module} ended with {done.returncode}; its messages are above")


def write_kwok_stages(target: Path) -> None:
    stages = Path(_module("sigs.k8s.io/kwok", "{{.Dir}}"), "kustomize/stage")
    target.write_text("\n---\n".join((stages / f"{name}.yaml").read_text() for name in KWOK_STAGES))


def _module(path: str, wanted: str) -> str:
    return run("go", "-C", SOURCES, "list", "-m", "-f", wanted, path).strip()
