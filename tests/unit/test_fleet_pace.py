"""How fast a generator is taken to be, by what it answered when."""

import pytest

from grpo_trainer.fleet.pace import BENEFIT_OF_DOUBT, STRETCHES, Average, Pace


def stretch(pace: Pace, num_tokens: int, begin_s: float, end_s: float) -> None:
    """One request, alone."""
    pace.sent("request", begin_s)
    pace.answered("request", num_tokens, end_s)


def test_nothing_is_known_before_an_answer() -> None:
    pace = Pace()
    assert pace.tokens_per_s is None
    pace.sent("a", 1.0)
    assert pace.tokens_per_s is None


def test_requests_side_by_side_count_together() -> None:
    """Four of 100 tokens, all in 10 s: 40 tokens per second, though each took 10 s."""
    pace = Pace()
    for name in "abcd":
        pace.sent(name, 5.0)
    for name in "abc":
        pace.answered(name, 100, 15.0)
        assert pace.tokens_per_s is None  # the others may be nearly written, or not begun
    pace.answered("d", 100, 15.0)
    assert pace.tokens_per_s == 40.0


def test_a_stretch_ends_when_what_was_under_way_at_its_beginning_is_answered() -> None:
    pace = Pace()
    pace.sent("a", 0.0)
    pace.sent("b", 0.0)
    pace.answered("a", 100, 4.0)
    pace.sent("c", 4.0)  # never idle, so a new stretch would else never begin
    pace.answered("b", 100, 5.0)
    assert pace.tokens_per_s == 40.0
    pace.answered("c", 200, 10.0)
    assert pace.tokens_per_s == 40.0
    pace.sent("d", 10.0)
    pace.answered("d", 400, 15.0)
    assert pace.tokens_per_s == pytest.approx(800 / 15)


def test_time_with_nothing_under_way_does_not_count() -> None:
    pace = Pace()
    stretch(pace, 100, 0.0, 10.0)
    stretch(pace, 100, 1000.0, 1010.0)
    assert pace.tokens_per_s == 10.0


def test_a_request_that_failed_says_nothing() -> None:
    pace = Pace()
    pace.sent("a", 0.0)
    pace.sent("b", 0.0)
    pace.answered("a", 100, 10.0)
    pace.failed("b", 600.0)
    assert pace.tokens_per_s is None
    stretch(pace, 100, 700.0, 710.0)
    assert pace.tokens_per_s == 10.0


def test_seconds_with_something_under_way_are_counted_once() -> None:
    pace = Pace()
    pace.sent("a", 10.0)
    pace.sent("b", 12.0)
    assert pace.answered("a", 1, 15.0) == 5.0
    assert pace.failed("b", 16.0) == 1.0
    pace.sent("c", 100.0)
    assert pace.answered("c", 1, 101.0) == 1.0


def test_a_change_of_pace_is_known_after_some_stretches() -> None:
    pace = Pace()
    for number in range(20):
        stretch(pace, 100, 100.0 * number, 100.0 * number + 10)
    before = pace.tokens_per_s
    for number in range(20, 20 + 2 * STRETCHES):
        stretch(pace, 100, 100.0 * number, 100.0 * number + 20)
    assert before == 10.0
    assert pace.tokens_per_s == pytest.approx(5.0, rel=0.1)


def test_who_is_passed_over_is_thought_better_of_until_it_is_measured_again() -> None:
    pace = Pace()
    pace.passed_over()
    assert pace.tokens_per_s is None
    for number in range(5):
        stretch(pace, 100, 100.0 * number, 100.0 * number + 50)
    pace.passed_over()
    pace.passed_over()
    assert pace.tokens_per_s == pytest.approx(2 * BENEFIT_OF_DOUBT**2)
    stretch(pace, 100, 1000.0, 1010.0)
    assert pace.tokens_per_s == 10.0


def test_an_average_is_of_all_values_until_they_are_many() -> None:
    average = Average(3)
    seen = []
    for value in (6.0, 2.0, 4.0, 7.0):
        average.add(value)
        seen.append(average.value)
    assert seen == [6.0, 4.0, 4.0, 5.0]
