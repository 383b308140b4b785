"""`make clean-cache` removes what lies beside the paths that it is told to keep, and nothing else."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.build import current_build
from harness.clean_cache import remove_others, size_of
from harness.layout import ROOT
from images.base import base_archive
from images.build import archive_of, default_tag
from pictures.bundle import current_bundle

MEBIBYTE = 1024 * 1024


def make_folder(folder: Path) -> Path:
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "program").write_bytes(b"x" * MEBIBYTE)
    return folder


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_what_is_not_kept_is_removed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept, old = make_folder(tmp_path / "dev-new"), make_folder(tmp_path / "dev-old")
    (tmp_path / "old.tar").write_bytes(b"x" * MEBIBYTE)
    freed = remove_others(tmp_path, {kept})
    assert names(tmp_path) == {"dev-new"}
    assert (kept / "bin" / "program").exists()
    assert 2 * MEBIBYTE <= freed < 3 * MEBIBYTE
    assert capsys.readouterr().out == f"removed {old} (0.0 GB)\nremoved {tmp_path / 'old.tar'} (0.0 GB)\n"


def test_a_link_is_removed_and_not_what_it_leads_to(tmp_path: Path) -> None:
    kept = make_folder(tmp_path / "trainer-1")
    (tmp_path / "trainer").symlink_to(kept.name)
    remove_others(tmp_path, {kept})
    assert names(tmp_path) == {"trainer-1"}
    assert (kept / "bin" / "program").exists()


def test_what_an_interrupted_removal_left_is_removed_first(tmp_path: Path) -> None:
    make_folder(tmp_path / "dev-1")
    make_folder(tmp_path / "dev-1.removed")
    remove_others(tmp_path, set())
    assert names(tmp_path) == set()


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert remove_others(tmp_path / "envs", set()) == 0


def test_a_file_of_two_names_counts_once(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "dev-1")
    (folder / "again").hardlink_to(folder / "bin" / "program")
    assert MEBIBYTE <= size_of(folder) < 2 * MEBIBYTE


def test_what_the_checkout_and_the_running_cluster_use_is_kept(tmp_path: Path) -> None:
    home = tmp_path / "grpo-operator"
    cluster, images, environments = home / "cluster", home / "images", home / "envs"
    pictures, page = home / "pictures", current_bundle().name
    current, operator = current_build().folder.name, archive_of("operator", default_tag("operator")).name
    ours = [home / "tools" / "uv-1", environments / "dev-1"]
    of_cluster = [cluster / "running", cluster / current, environments / "trainer-1", environments / "libraries-1"]
    others = [home / "tools" / "uv-0", cluster / "old", *(environments / name for name in ("trainer-0", "libraries-0"))]
    others += [pictures / "0123456789abcdef"]
    for folder in (*ours, *of_cluster, *others, cluster / "run", pictures / page):
        make_folder(folder)
    (environments / "trainer-1" / "bin" / "ninja").symlink_to(environments / "libraries-1" / "bin" / "ninja")
    (cluster / "run" / "trainer-1.tar").touch()
    (cluster / "run" / "state.json").write_text(json.dumps({"build": "running"}))
    images.mkdir()
    for name in (operator, base_archive().name, "operator-0123456789abcdef.tar", "pip.conf"):
        (images / name).touch()
    done = subprocess.run(
        [sys.executable, "-m", "harness.clean_cache", *map(str, ours)],
        cwd=ROOT / "tests",
        env=os.environ | {"XDG_CACHE_HOME": str(tmp_path)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert names(home / "tools") == {"uv-1"}
    assert names(environments) == {"dev-1", "trainer-1", "libraries-1"}
    assert names(cluster) == {"lock", "run", "running", current}
    assert names(images) == {"lock", "pip.conf", operator, base_archive().name}
    assert names(pictures) == {"lock", page}
    assert done.stdout.count("removed ") == len(others) + 1 + 1
