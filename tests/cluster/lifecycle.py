"""up, down, and whether what runs is what was asked for: the order of the steps, each of which has its own file."""

import json
import os
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from cluster import cgroups, images
from cluster.build import Build, build_when_alone, current_build, key_of
from cluster.certificates import write_certificates
from cluster.control_plane import is_api_server_ready, start_control_plane
from cluster.host_python import visible_folders
from cluster.layout import (
    BRIDGE,
    CACHE,
    COMMANDS,
    CONTROL_PLANE,
    KUBECONFIG,
    LOGS,
    MONITORING_NAMESPACE,
    PIDS,
    PKI,
    RUN,
    SOURCES,
    STATE,
    VOLUMES,
    node_names,
)
from cluster.lock import alone
from cluster.node import create_node, load_images, start_containerd, start_kube_proxy, start_kubelet
from cluster.processes import dead_daemons, kubectl_command, output_or_nothing, require_alive, run, spawn
from cluster.waiting import ClusterError, timed, wait_for

# What has no part in a running cluster: changing it must not make `up` start a new one.
NOT_RUNNING = ("__main__.py", "prove.py", "prove_end.py")


@dataclass(frozen=True)
class Shape:
    """What the person who calls `up` chooses."""

    nodes: int = 2
    audit: bool = False  # keep the API server's audit log
    control_plane_only: bool = False  # no kubelets: for simulated nodes

    @property
    def node_names(self) -> list[str]:
        return [] if self.control_plane_only else node_names(self.nodes)


def up(shape: Shape, fresh: bool) -> None:
    refuse_unsuitable_machine()
    with alone():
        _up(shape, fresh)


def _up(shape: Shape, fresh: bool) -> None:
    made = build_when_alone()
    state = _state(shape, made)
    if not fresh and is_running(state, shape, made):
        print(f"already up; KUBECONFIG={KUBECONFIG}")
        return
    start = time.monotonic()
    _end_everything()
    for folder in (PKI, LOGS, PIDS, COMMANDS, VOLUMES):
        folder.mkdir(parents=True)
    with timed("certificates"):
        write_certificates(shape.node_names)
    with timed("control plane"):
        start_control_plane(made.binaries, shape.audit)
        spawn("volumes", CONTROL_PLANE, [sys.executable, "-m", "cluster.volumes"])
        _kubectl(made, "apply", "-f", SOURCES / "storage.yaml")
    if shape.node_names:
        _start_nodes(shape.node_names, made)
    _kubectl(made, "wait", "--for=create", "serviceaccount/default", "--timeout=60s")
    STATE.write_text(json.dumps(state))  # last: a cluster without it was never complete
    print(f"{time.monotonic() - start:6.1f} s  in all; KUBECONFIG={KUBECONFIG}")


def _start_nodes(nodes: Sequence[str], made: Build) -> None:
    with timed("nodes started, images imported"):
        archives = [made.images / f"{name}.tar" for name in images.EVERYWHERE]
        for node in nodes:
            create_node(node)
        for node in nodes:
            start_containerd(node)
            load_images(archives, [node])
            start_kubelet(node, made.binaries)
            start_kube_proxy(node, made.binaries)
        spawn("network-policy", CONTROL_PLANE, [sys.executable, "-m", "cluster.network_policy"])
    with timed("nodes Ready, DNS and Prometheus answer"):
        for addon in ("addons.yaml", "prometheus.yaml"):
            _kubectl(made, "apply", "-f", SOURCES / addon)
        wait_for("all nodes", lambda: _registered(made, nodes))
        _kubectl(made, "wait", "--for=condition=Ready", "node", "--all", "--timeout=60s")
        _kubectl(made, "-n", "kube-system", "rollout", "status", "deployment/coredns", "--timeout=90s")
        _kubectl(made, "-n", MONITORING_NAMESPACE, "rollout", "status", "deployment/prometheus", "--timeout=90s")


def _registered(made: Build, nodes: Sequence[str]) -> bool:
    require_alive(f"{node}-kubelet" for node in nodes)
    names = output_or_nothing(*kubectl_command(made.binaries), "get", "node", "-o", "name").split()
    return set(names) >= {f"node/{node}" for node in nodes}


def _kubectl(made: Build, *arguments: object) -> None:
    run(*kubectl_command(made.binaries), *arguments)


def _state(shape: Shape, made: Build) -> dict[str, object]:
    """Equal for two clusters exactly when one can stand in for the other."""
    sources = {
        file.name: file.read_bytes()
        for file in SOURCES.iterdir()
        if file.suffix in (".py", ".yaml", ".toml") and file.name not in NOT_RUNNING
    }
    interpreter = " ".join(visible_folders())
    return {"build": made.folder.name, "sources": key_of(sources, interpreter), "shape": asdict(shape)}


def is_running(state: dict[str, object], shape: Shape, made: Build) -> bool:
    """A complete cluster of exactly this state, with all its daemons alive and its nodes and add-ons Ready."""
    if not STATE.exists() or json.loads(STATE.read_text()) != state or dead_daemons():
        return False
    return is_api_server_ready(made.binaries) and (not shape.node_names or _are_nodes_ready(shape, made))


def _are_nodes_ready(shape: Shape, made: Build) -> bool:
    status = 'jsonpath={range .items[*]}{.metadata.name}={.status.conditions[?(@.type=="Ready")].status} {end}'
    ready = output_or_nothing(*kubectl_command(made.binaries), "get", "node", "-o", status).split()
    if not set(ready) >= {f"{node}=True" for node in shape.node_names}:
        return False
    available = "jsonpath={range .items[*]}{.metadata.name}={.status.availableReplicas} {end}"
    found = ""
    for namespace in ("kube-system", MONITORING_NAMESPACE):
        found += output_or_nothing(*kubectl_command(made.binaries), "-n", namespace, "get", "deploy", "-o", available)
    return set(found.split()) >= {"coredns=1", "prometheus=1"}


def down() -> bool:
    """End everything that any `up` started on this machine; right at any time, twice, and after a crash. Says whether
    there was anything."""
    with alone():
        was_there = bool(cgroups.existing()) or RUN.exists()
        _end_everything()
    return was_there


def _end_everything() -> None:
    for group in cgroups.existing():
        cgroups.end(group)
    if Path("/sys/class/net", BRIDGE).exists():
        run("ip", "link", "delete", BRIDGE)  # the nodes' interfaces went with the nodes, the routes go with the bridge
    cgroups.remove_all()
    if below := mounts_left():
        raise ClusterError(f"a node's mounts outlived it, nothing below them is removed: umount {' '.join(below)}")
    if RUN.exists():
        shutil.rmtree(RUN)


def mounts_left() -> list[str]:
    """Below what `down` removes."""
    mounted = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [point for point in mounted if Path(point).is_relative_to(RUN)]


def refuse_unsuitable_machine() -> None:
    if os.geteuid() != 0:
        raise ClusterError("the cluster makes namespaces and cgroups: run it as root")
    for private in ("/var", "/run"):
        if CACHE.is_relative_to(private):
            raise ClusterError(f"{CACHE} is below {private}, of which each node has its own: set XDG_CACHE_HOME")
    cgroups.mounted()  # refuses a machine that has none


def running_build() -> Build:
    """The build of the cluster that runs, whatever the checkout has become since."""
    if not STATE.exists():
        return current_build()
    return Build(CACHE / json.loads(STATE.read_text())["build"])
