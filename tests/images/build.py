"""One target of the Dockerfile as a docker-archive in the cache, built once for each state of its sources."""

import os
import tomllib
from collections.abc import Iterable, Mapping
from configparser import ConfigParser
from pathlib import Path

from cluster.lock import alone
from images.base import ensure_base
from images.commands import buildah, install_debian_packages, run, timed
from images.content import content_key, context_files
from images.layout import CA_BUNDLES, CACHE, LOCK, PIP_CONFIG, PROJECT

TARGETS = ("operator", "trainer", "trainer-cpu")
# What a machine may be told about where packages come from. It goes into the build as a mounted file: its content stays
# in no image, and the Dockerfile need not know of it.
PIP_KEYS = ("index-url", "extra-index-url", "trusted-host")


def default_tag(target: str) -> str:
    version = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"]
    return f"grpo-{target}:{version}"


def full_name(tag: str) -> str:
    """What a kubelet makes of a bare tag."""
    return f"docker.io/library/{tag}"


def archive_of(target: str, tag: str) -> Path:
    """Where the image of the sources as they are is, or will be."""
    return CACHE / f"{target}-{content_key(PROJECT, context_files(PROJECT), [tag])}.tar"


def build_image(target: str, tag: str) -> Path:
    archive = archive_of(target, tag)
    with alone(LOCK):  # buildah's storage is one
        if not archive.exists():
            install_debian_packages()
            ensure_base()
            _build(target, tag, archive)
    return archive


def _build(target: str, tag: str, archive: Path) -> None:
    mounts = [f"--volume={CA_BUNDLES}:{CA_BUNDLES}:ro"]
    if write_pip_config(PIP_CONFIG):
        mounts.append(f"--volume={PIP_CONFIG}:/etc/pip.conf:ro")
    name = full_name(tag)
    run(*buildah("rm", "--all"))  # what a build that was interrupted has left
    # No network namespace of its own and no cgroup: the build runs where only this user's rights are to be had.
    options = ["--pull-never", "--isolation=chroot", "--layers", "--format=docker", *mounts]
    with timed(f"buildah build --target {target}"):
        run(*buildah("build", *options, f"--target={target}", f"--tag={name}", PROJECT))
    partial = archive.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    with timed(f"docker-archive of {target}"):
        run(*buildah("push", name, f"docker-archive:{partial}:{name}"))
    for older in CACHE.glob(f"{target}-????????????????.tar"):  # gigabytes, for a state of the files that is gone
        older.unlink()
    partial.rename(archive)


def write_pip_config(file: Path) -> bool:
    """Write what this machine tells pip about packages, in its files or its environment; False when that is nothing."""
    files = ("/etc/pip.conf", Path.home() / ".pip/pip.conf", Path.home() / ".config/pip/pip.conf")
    settings = pip_settings([Path(name).read_text() for name in files if Path(name).is_file()], os.environ)
    file.write_text("\n".join(["[global]", *(f"{key} = {value}" for key, value in settings.items()), ""]))
    return bool(settings)


def pip_settings(files: Iterable[str], environment: Mapping[str, str]) -> dict[str, str]:
    """The settings among PIP_KEYS, as pip finds them: later files win over earlier ones, the environment over all."""
    parser = ConfigParser(interpolation=None)
    for text in files:
        parser.read_string(text)
    found = dict(parser["global"]) if parser.has_section("global") else {}
    found |= {name.removeprefix("PIP_").lower().replace("_", "-"): value for name, value in environment.items()}
    return {key: found[key] for key in PIP_KEYS if key in found}
