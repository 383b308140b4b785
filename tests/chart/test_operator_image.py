"""The operator's image, really built: what is in it, and that it runs as the pod of the chart runs it."""

import json
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.lock import alone
from images.build import build_image, default_tag
from images.commands import buildah, output
from images.layout import LOCK

LARGEST_BYTES = 130_000_000
NOT_WANTED = {"sh", "bash", "dash", "busybox", "apt", "apt-get", "dpkg", "pip", "pip3", "gcc", "cc", "make", "perl"}


@pytest.fixture(scope="module")
def archive() -> Path:
    return build_image("operator", default_tag("operator"))


@pytest.fixture(scope="module")
def container(archive: Path) -> Iterator[str]:
    with alone(LOCK):
        name = output(*buildah("from", "--pull-never", f"docker-archive:{archive}"))
        yield name
        output(*buildah("rm", name))


def run_in(container: str, *command: str) -> subprocess.CompletedProcess[str]:
    """As the image's user; the chart's pod has no more rights."""
    whole = [str(part) for part in buildah("run", "--isolation=chroot", container, "--", *command)]
    return subprocess.run(whole, check=False, capture_output=True, text=True)


def config_of(archive: Path) -> dict[str, Any]:
    with tarfile.open(archive) as tar:
        config: dict[str, Any] = json.loads(_read(tar, _manifest(tar)["Config"]))
    found: dict[str, Any] = config["config"]
    return found


def files_of(archive: Path) -> dict[str, tarfile.TarInfo]:
    """Path in the image -> entry, from all layers."""
    files: dict[str, tarfile.TarInfo] = {}
    with tarfile.open(archive) as tar:
        for layer in _manifest(tar)["Layers"]:
            with tarfile.open(fileobj=tar.extractfile(layer)) as content:
                files |= {entry.name.lstrip("./"): entry for entry in content}
    return files


def _manifest(tar: tarfile.TarFile) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads(_read(tar, "manifest.json"))[0]
    return manifest


def _read(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    assert file
    return file.read()


def test_size(archive: Path) -> None:
    size = archive.stat().st_size
    print(f"operator image: {size / 1e6:.0f} MB")
    assert size < LARGEST_BYTES


def test_configuration(archive: Path) -> None:
    config = config_of(archive)
    assert config["User"] == "65532:65532"
    assert config["Entrypoint"] == ["/opt/venv/bin/python", "-m", "grpo_operator"]
    assert "PATH=/opt/venv/bin:/usr/bin" in config["Env"]
    labels = config["Labels"]
    assert labels["org.opencontainers.image.title"] == "grpo-operator"
    assert labels["org.opencontainers.image.version"] == "0.1.0"
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"


def test_neither_shell_nor_build_tools_nor_package_manager(archive: Path) -> None:
    files = files_of(archive)
    programs = {Path(name).name for name, entry in files.items() if "bin" in Path(name).parts and not entry.isdir()}
    assert "python3.11" in programs
    assert programs & NOT_WANTED == set()
    packages = {Path(name).name for name in files if Path(name).parent.name == "site-packages"}
    assert {"grpo_operator", "grpo_contract", "kopf"} <= packages
    assert packages & {"torch", "pip", "setuptools", "pytest"} == set()


def test_no_file_gives_more_rights_than_its_user_has(archive: Path) -> None:
    assert [name for name, entry in files_of(archive).items() if entry.isfile() and entry.mode & 0o6000] == []


def test_all_that_is_loaded_is_compiled(container: str) -> None:
    """The root file system is read-only in a pod: what is not compiled now is compiled at every start."""
    script = (
        "import grpo_operator.main, importlib.util, os, sys;"
        "print([m for m, x in sys.modules.items() if (f := getattr(x, '__file__', None)) and f.endswith('.py')"
        " and not os.path.exists(importlib.util.cache_from_source(f))])"
    )
    done = run_in(container, "python", "-c", script)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


def test_runs_as_nobody_in_particular(container: str) -> None:
    done = run_in(container, "python", "-c", "import os; print(os.getuid(), os.getgid(), os.getcwd())")
    assert (done.returncode, done.stdout) == (0, "65532 65532 /tmp\n"), done.stderr


def test_without_settings_it_says_which_file_is_missing(container: str) -> None:
    done = run_in(container, "python", "-m", "grpo_operator")
    assert done.returncode != 0
    assert "/etc/grpo-operator/settings.json" in done.stderr
