"""The page beside learner 0: whose pod has one, and what becomes of it when it ends."""

import logging
import sys
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from queue import Queue
from typing import Any

import pytest

from grpo_contract.environment import JOB_INDEX
from grpo_trainer import page

CONFIG = Path("/etc/grpo/run.json")


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> "Queue[tuple[Any, ...]]":
    """What the thread was started with."""
    calls: Queue[tuple[Any, ...]] = Queue()
    monkeypatch.setattr(page, "keep_serving", lambda *arguments: calls.put(arguments))
    return calls


def test_it_has_the_environment_of_its_start(served: "Queue[tuple[Any, ...]]", monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a process whose environment is being changed, exec may read half of the old one."""
    monkeypatch.setenv("OF_THE_START", "1")
    page.serve_page(CONFIG)
    monkeypatch.delenv("OF_THE_START")
    config_file, environment, pauses_s = served.get(timeout=60)
    assert (config_file, environment["OF_THE_START"]) == (CONFIG, "1")
    assert list(islice(pauses_s, 8)) == [30, 60, 120, 240, 480, 960, 1800, 1800]


def test_other_learners_have_none(served: "Queue[tuple[Any, ...]]", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(JOB_INDEX, "1")
    page.serve_page(CONFIG)
    monkeypatch.setenv(JOB_INDEX, "0")
    page.serve_page(CONFIG)
    assert served.get(timeout=60)[1][JOB_INDEX] == "0"
    assert served.empty()


@pytest.mark.parametrize("trouble", [1, OSError(12, "Cannot allocate memory")])
def test_it_is_started_again_and_says_so_once(
    trouble: int | OSError, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    starts = []

    def start(command: list[str], env: Mapping[str, str]) -> int:
        starts.append((command, env))
        if isinstance(trouble, OSError):
            raise trouble
        return trouble

    monkeypatch.setattr("grpo_trainer.page.subprocess.call", start)
    with caplog.at_level(logging.WARNING):
        page.keep_serving(CONFIG, {"A": "1"}, [0, 0, 0])
    assert starts == [([sys.executable, "-m", "grpo_page", str(CONFIG)], {"A": "1"})] * 3
    (said,) = caplog.messages
    assert ("has ended with code 1" in said) is (trouble == 1)
    assert ("Cannot allocate memory" in said) is (trouble != 1)
