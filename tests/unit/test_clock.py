"""Whose time it is: this machine's, or the API server's where that one is wrong."""

import logging
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from grpo_operator.clock import Clock
from unit.observed_inputs import NOW


class Seconds:
    """That have passed."""

    passed = 100.0

    def __call__(self) -> float:
        return self.passed


def told(ahead_s: float) -> str:
    return format_datetime(NOW + timedelta(seconds=ahead_s), usegmt=True)


def ahead_s(clock: Clock) -> float:
    return (clock.now() - NOW).total_seconds()


def test_it_begins_with_this_machines_time() -> None:
    assert abs(Clock().now() - datetime.now(UTC)) < timedelta(seconds=1)


@pytest.mark.parametrize(
    ("answer_s", "expected_s"), [(0, 0), (1, 0), (-1, 0), (2, 2), (-2, -2), (3600, 3600), (-3600, -3600)]
)
def test_a_wrong_clock_is_put_right(answer_s: float, expected_s: float) -> None:
    clock = Clock(NOW, Seconds())
    clock.answered(told(answer_s), NOW)
    assert ahead_s(clock) == expected_s


def test_an_answer_may_have_taken_its_time() -> None:
    """It was dated at any moment since it was asked for."""
    seconds = Seconds()
    clock = Clock(NOW, seconds)
    seconds.passed += 30
    for answer_s in (-1, 0, 15, 30, 31):
        clock.answered(told(answer_s), NOW)
        assert ahead_s(clock) == 30
    clock.answered(told(-2), NOW)
    assert ahead_s(clock) == -2


def test_it_goes_on_by_what_has_passed() -> None:
    seconds = Seconds()
    clock = Clock(NOW, seconds)
    seconds.passed += 1.5
    assert ahead_s(clock) == 1.5
    clock.answered(told(3600), NOW)
    seconds.passed += 1.5
    assert ahead_s(clock) == 3601.5


def test_it_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock(NOW, Seconds())
    with caplog.at_level(logging.WARNING):
        for answer_s in (3600, 3601, 3600):
            clock.answered(told(answer_s), clock.now())
    assert caplog.messages == ["the clock was -3600 s off the API server's, and goes by that one now"]


@pytest.mark.parametrize("date", [None, "", "soon"])
def test_an_answer_without_a_date_changes_nothing(date: str | None) -> None:
    clock = Clock(NOW, Seconds())
    clock.answered(date, NOW)
    assert ahead_s(clock) == 0


@pytest.mark.parametrize("date", ["Mon Jan  1 00:00:00 2035", "Mon, 01 Jan 2035 00:00:00 -0000"])
def test_a_date_without_a_zone_is_of_utc(date: str) -> None:
    clock = Clock(NOW, Seconds())
    clock.answered(date, NOW)
    assert clock.now() == datetime(2035, 1, 1, tzinfo=UTC)
