"""The clock of a learner's start, and when a process started."""

import subprocess
import sys

import pytest

from grpo_contract import environment
from grpo_contract.metrics import StartupPart
from grpo_contract.progress import Stage
from grpo_trainer.instruments import startup
from grpo_trainer.instruments.progress import ProgressBoard
from grpo_trainer.instruments.startup import StartupClock, described, launched_at


def test_each_part_lasts_from_the_end_of_the_one_before() -> None:
    clock = StartupClock(started=100.0)
    clock.end(StartupPart.LAUNCH, 104.0)
    clock.end(StartupPart.IMPORTS, 114.5)
    assert clock.seconds == {StartupPart.LAUNCH: 4.0, StartupPart.IMPORTS: 10.5}
    assert not clock.is_over


def test_a_part_ends_once_and_nothing_comes_after_the_first_step() -> None:
    clock = StartupClock(started=0.0)
    for part, now in (
        (StartupPart.GENERATORS, 2.0),
        (StartupPart.GENERATORS, 3.0),
        (StartupPart.FIRST_STEP, 5.0),
        (StartupPart.MODEL, 9.0),
    ):
        clock.end(part, now)
    assert clock.seconds == {StartupPart.GENERATORS: 2.0, StartupPart.FIRST_STEP: 3.0}
    assert clock.is_over


def test_stages_of_the_run_end_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter((20.0, 50.0, 51.0, 52.0))
    monkeypatch.setattr("grpo_trainer.instruments.progress.now", lambda: next(times))
    board = ProgressBoard(1, StartupClock(started=8.0))
    board.update(stage=Stage.WAITING_FOR_GENERATORS)
    board.update(model="/volume/model")
    board.update(stage=Stage.TRAINING)
    board.update(stage=Stage.WAITING_FOR_GENERATORS)  # the generator was lost before the first step
    board.update(stage=Stage.TRAINING)
    assert board.startup.seconds == {StartupPart.MODEL: 12.0, StartupPart.GENERATORS: 30.0}


def test_the_line_in_the_log() -> None:
    seconds = {StartupPart.LAUNCH: 4.04, StartupPart.IMPORTS: 10.5, StartupPart.FIRST_STEP: 1.0}
    assert described(seconds) == (
        "the first step was done 15.5 s after the container's start: launch 4.0, imports 10.5, first_step 1.0"
    )


def test_the_launchers_start_is_what_it_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(environment.LAUNCHED_AT, "1234.56")
    assert launched_at() == 1234.56
    monkeypatch.delenv(environment.LAUNCHED_AT)
    assert launched_at() == startup.started_at()


def test_a_process_started_when_the_kernel_says() -> None:
    program = "from grpo_trainer.instruments.startup import started_at; print(started_at())"
    before = startup.now()
    told = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert before - 0.01 <= float(told) <= startup.now()  # it counts ticks of 10 ms
