"""Checkouts share environments of the same content, and none touches what another one runs."""

import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from cluster.host_python import write_environment_image
from cluster.layout import ENVIRONMENTS
from cluster.waiting import ClusterError
from harness.layout import ROOT

SOURCE = "trainer_image/grpo_trainer/training.py"
MADE_FROM = (
    "Makefile",
    "pyproject.toml",
    "tests/requirements-uv.txt",
    "tests/requirements.txt",
    "tests/requirements-trainer.txt",
    "trainer_image/requirements-cpu.txt",
    SOURCE,
)


def make_checkout(folder: Path) -> Path:
    for name in MADE_FROM:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    (folder / "operator").mkdir()
    return folder


def dry_run(checkout: Path, cache: Path, target: str) -> list[str]:
    environment = os.environ | {"XDG_CACHE_HOME": str(cache), "MAKEFLAGS": ""}
    command = ["make", "--dry-run", "--no-print-directory", target]
    done = subprocess.run(command, cwd=checkout, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


def made_by(commands: list[str]) -> set[Path]:
    return {Path(line.split()[1]).parent for line in commands if line.startswith("touch ")}


def test_other_sources_have_another_environment_above_the_same_libraries(tmp_path: Path) -> None:
    first, second = make_checkout(tmp_path / "first"), make_checkout(tmp_path / "second")
    assert dry_run(first, tmp_path, "env-path-trainer") == dry_run(second, tmp_path, "env-path-trainer")
    with (second / SOURCE).open("a") as file:
        file.write("# changed\n")
    of_first, of_second = (made_by(dry_run(checkout, tmp_path, "env-path-trainer")) for checkout in (first, second))
    assert {path.name.split("-")[0] for path in of_first & of_second} == {"uv", "libraries"}
    assert [path.name.split("-")[0] for path in of_first ^ of_second] == ["trainer", "trainer"]


@pytest.mark.parametrize("target", ["env-dev", "env-trainer"])
def test_a_fresh_checkout_takes_what_is_there(tmp_path: Path, target: str) -> None:
    checkout = make_checkout(tmp_path / "checkout")
    for environment in made_by(dry_run(checkout, tmp_path, target)):
        environment.mkdir(parents=True)
        (environment / ".complete").touch()
        os.utime(environment / ".complete", (0, 0))
    assert made_by(dry_run(checkout, tmp_path, target)) == set()


def test_cleaning_keeps_every_environment_of_the_checkout(tmp_path: Path) -> None:
    checkout = make_checkout(tmp_path / "checkout")
    (command,) = (line for line in dry_run(checkout, tmp_path, "clean-cache") if "harness.clean_cache" in line)
    targets = ("made-dev", "made-trainer", "made-recipe")
    made = set[Path]().union(*(made_by(dry_run(checkout, tmp_path, target)) for target in targets))
    assert set(map(Path, command.partition("harness.clean_cache")[2].split())) == made
    assert {path.name.split("-")[0] for path in made} == {"uv", "dev", "libraries", "trainer", "recipe"}


def read_json(archive: Path, member: str) -> Any:
    with tarfile.open(archive) as tar:
        content = tar.extractfile(member)
        assert content is not None
        return json.load(content)


def test_an_environments_image_finds_it_first(tmp_path: Path) -> None:
    archive = write_environment_image(tmp_path, ENVIRONMENTS / "trainer-0123")
    manifest, config = read_json(archive, "manifest.json"), read_json(archive, "config.json")
    assert manifest[0]["RepoTags"] == ["grpo.test/trainer-0123:1"]
    assert config["config"]["Env"][0].startswith(f"PATH={ENVIRONMENTS}/trainer-0123/bin:")


def test_an_environment_that_pods_cannot_see_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="pods see only"):
        write_environment_image(tmp_path, tmp_path / "trainer-0123")
