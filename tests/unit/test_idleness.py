"""Seconds in which something was under way, and what they say of a run's steps."""

import pytest

from grpo_trainer.instruments.idleness import Balance, BusyTime


def test_what_overlaps_is_counted_once() -> None:
    busy = BusyTime()
    busy.began(10.0)
    busy.began(11.0)
    busy.ended(13.0)
    busy.ended(14.0)
    busy.began(20.0)
    busy.ended(20.5)
    assert busy.take(30.0) == 4.5
    assert busy.take(31.0) == 0


def test_what_is_under_way_is_counted_as_far_as_it_is() -> None:
    busy = BusyTime()
    busy.began(10.0)
    assert busy.take(12.0) == 2
    busy.ended(15.0)
    assert busy.take(16.0) == 3


def test_the_first_step_says_nothing() -> None:
    balance = Balance()
    balance.step_ended(step_s=100, waited_s=90, busy_s=5, num_generators=1)
    assert (balance.generator_s, balance.learning_s) == (None, None)
    assert (balance.learner_idle_ratio, balance.generator_idle_ratio) == (None, None)


def test_means_of_few_steps_are_of_all_alike() -> None:
    balance = Balance()
    for step_s, waited_s, busy_s in ((100, 90, 5), (10, 6, 6), (20, 8, 8), (30, 10, 10)):
        balance.step_ended(step_s, waited_s, busy_s, num_generators=2)
    assert (balance.generator_s, balance.learning_s) == pytest.approx((16, 12))
    assert (balance.learner_idle_ratio, balance.generator_idle_ratio) == pytest.approx((0.4, 0.6))


def test_means_forget_steps_that_are_long_ago() -> None:
    balance = Balance()
    for _ in range(50):
        balance.step_ended(10, 2, 10, 3)
    balance.step_ended(20, 12, 20, 3)
    assert balance.generator_s == pytest.approx(33)
    for _ in range(100):
        balance.step_ended(10, 0, 4, 3)
    assert (balance.generator_s, balance.learning_s) == pytest.approx((12, 10), abs=1e-3)
    assert (balance.learner_idle_ratio, balance.generator_idle_ratio) == pytest.approx((0, 0.6), abs=1e-3)


def test_writing_ahead_between_steps_makes_no_ratio_below_0() -> None:
    balance = Balance()
    for _ in range(2):
        balance.step_ended(10, 0, 10.5, 1)
    assert balance.generator_idle_ratio == 0


def test_twice_as_many_generators_take_as_much_together() -> None:
    balance = Balance()
    for busy_s, num_generators in ((8, 2), (8, 2), (4, 4)):
        balance.step_ended(10, 0, busy_s, num_generators)
    assert balance.generator_s == pytest.approx(16)
