"""A learner that is killed at any moment of writing a checkpoint leaves a newest one that is whole."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from trainer.learner_pod import WITH_TESTS

WRITER = Path(__file__).with_name("killed_writer.py")
MANY = 30
"""Fewer operations than there are: else nothing was killed where it matters."""


@pytest.fixture(scope="module")
def tries(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("tries")
    environment = os.environ | {"PYTHONPATH": WITH_TESTS, "OMP_NUM_THREADS": "1"}
    writer = subprocess.run(
        [sys.executable, str(WRITER), str(folder)],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
        timeout=300,
    )
    found: list[dict[str, Any]] = json.loads(writer.stdout.splitlines()[-1])
    return found


def test_each_leaves_a_whole_one(tries: list[dict[str, Any]]) -> None:
    assert len(tries) > MANY
    assert [found["was killed"] for found in tries] == [True] * (len(tries) - 1) + [False]
    assert [found["problems"] for found in tries] == [[]] * len(tries)
    steps = [found["step"] for found in tries]
    assert set(steps) == {2, 4}
    assert steps == sorted(steps)  # once it counts, it counts


def test_nothing_half_written_or_half_removed_stays(tries: list[dict[str, Any]]) -> None:
    for found in tries:
        assert found["left"] in (["checkpoint-2"], ["checkpoint-2", "checkpoint-4"], ["checkpoint-4"]), found
        assert f"checkpoint-{found['step']}" in found["left"]
    assert tries[-1]["left"] == ["checkpoint-4"]
