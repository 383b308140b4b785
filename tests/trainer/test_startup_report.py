"""What learner 0 tells of its start when its first step is done."""

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from grpo_contract.metrics import StartupPart
from grpo_trainer.instruments.metrics import LearnerMetrics
from grpo_trainer.instruments.startup import StartupClock
from grpo_trainer.reports.exporter import new_registry
from grpo_trainer.reports.startup_report import StartupReport


def end_step(report: StartupReport, step: int) -> None:
    nothing: Any = None
    state: Any = SimpleNamespace(global_step=step)
    report.on_step_end(nothing, state, nothing)


def test_the_first_step_tells_the_start_and_later_ones_do_not(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    times = iter((17.0, 99.0))
    monkeypatch.setattr("grpo_trainer.reports.startup_report.now", lambda: next(times))
    registry = new_registry()
    clock = StartupClock(started=0.0)
    clock.end(StartupPart.LAUNCH, 4.0)
    clock.end(StartupPart.IMPORTS, 14.5)
    report = StartupReport(clock, LearnerMetrics(registry))
    assert registry.get_sample_value("grpo_startup_seconds", {"part": "launch"}) is None

    with caplog.at_level(logging.INFO):
        end_step(report, 1)
        end_step(report, 2)

    told = {part.value: registry.get_sample_value("grpo_startup_seconds", {"part": part}) for part in StartupPart}
    assert {part: seconds for part, seconds in told.items() if seconds is not None} == {
        "launch": 4.0,
        "imports": 10.5,
        "first_step": 2.5,
    }
    assert caplog.messages == [
        "the first step was done 17.0 s after the container's start: launch 4.0, imports 10.5, first_step 2.5"
    ]
