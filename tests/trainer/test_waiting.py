"""Waits that end in a named reason, and that tell what is waited for."""

from collections.abc import Callable

import pytest

from grpo_contract.failure import PodReason, RunFailure
from grpo_trainer import waiting
from grpo_trainer.waiting import wait_until


def failure() -> RunFailure:
    return RunFailure(PodReason.RENDEZVOUS_TIMEOUT, "nobody came")


class Clock:
    """As `time`; a look at what is waited for takes no time of it."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(waiting, "time", clock)
    return clock


def after(seconds: float, clock: Clock) -> Callable[[], bool]:
    return lambda: clock.now >= seconds


@pytest.mark.parametrize(("comes_after_s", "told_at"), [(0, []), (4, []), (5, []), (6, [5]), (30, [5])])
def test_who_waits_long_is_told_once(comes_after_s: float, told_at: list[float], clock: Clock) -> None:
    told: list[float] = []
    wait_until(after(comes_after_s, clock), 60, 1, failure, tell_after_s=5, tell=lambda: told.append(clock.now))
    assert (told, clock.now) == (told_at, comes_after_s)


def test_a_wait_ends_in_its_reason(clock: Clock) -> None:
    with pytest.raises(RunFailure, match="nobody came"):
        wait_until(lambda: False, 60, 1, failure)
    assert clock.now == 61
