"""What the main thread of a learner is doing, and how long it may: the tables that the watchdog goes by. How it ends a process
is tested with real ones in tests/trainer/test_watchdog.py."""

import re

import pytest

from grpo_contract.config import Deadlines
from grpo_contract.metrics import Phase
from grpo_operator.api.spec import RunDeadlines
from grpo_trainer.instruments.main_thread import MainThread, Step
from grpo_trainer.instruments.phases import PhaseClock
from grpo_trainer.watchdog import failure_of, limit_of

USUAL = Deadlines()


@pytest.mark.parametrize(
    ("step", "limit_s", "reason"),
    [
        (Step.RENDEZVOUS, 900, "RendezvousTimeout"),
        (Step.LOAD, 7200, "LoadingTimeout"),
        (Step.LEARN, 1800, "CollectiveTimeout"),
        (Step.GENERATE, 9360, "GenerateTimeout"),
        (Step.WEIGHT_SYNC, 5760, "WeightSyncTimeout"),
        (Step.CHECKPOINT, 7200, "CheckpointTimeout"),
        (Step.END, 1980, "CollectiveTimeout"),
    ],
)
def test_each_step_has_a_deadline_and_a_reason(step: Step, limit_s: float, reason: str) -> None:
    assert limit_of(step, USUAL) == limit_s
    failure = failure_of(step, limit_s)
    assert failure.reason == reason
    (field,) = re.findall(r"raise spec\.deadlines\.(\w+) where", failure.message)
    assert field in {info.alias for info in RunDeadlines.model_fields.values()}


@pytest.mark.parametrize("step", Step)
@pytest.mark.parametrize(
    "deadlines", [USUAL, Deadlines(checkpoint_s=20000), Deadlines(collective_s=20000), Deadlines(weight_sync_s=20000)]
)
def test_libraries_come_later(step: Step, deadlines: Deadlines) -> None:
    assert deadlines.library_s >= limit_of(step, deadlines) + 30


def test_each_deadline_can_be_set() -> None:
    assert {f"{name.removesuffix('_s')}_seconds" for name in Deadlines.model_fields} == RunDeadlines.model_fields.keys()


def test_what_the_main_thread_does() -> None:
    thread = MainThread()
    assert thread.doing.step == Step.LOAD
    thread.has_loaded()
    before = thread.doing
    with thread.within(Step.GENERATE, sign=lambda: 7):
        assert (thread.doing.step, thread.doing.sign()) == (Step.GENERATE, 7)
        thread.has_loaded()
        with thread.within(Step.CHECKPOINT):
            assert (thread.doing.step, thread.doing.sign()) == (Step.CHECKPOINT, 0)
        assert (thread.doing.step, thread.doing.sign()) == (Step.GENERATE, 7)
    assert (thread.doing.step, thread.doing is before) == (Step.LEARN, False)  # it has got on


def test_to_get_on_is_to_do_the_same_anew() -> None:
    thread = MainThread()
    before = thread.doing
    thread.gets_on()
    assert (thread.doing.step, thread.doing is before) == (before.step, False)


def test_phases_of_a_step_are_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    thread = MainThread()
    monkeypatch.setattr("grpo_trainer.instruments.phases.MAIN_THREAD", thread)
    seen = [thread.doing]
    with PhaseClock().phase(Phase.REWARD):
        seen.append(thread.doing)
    assert len({*map(id, [*seen, thread.doing])}) == 3
