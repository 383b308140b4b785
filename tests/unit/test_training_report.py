"""What the training benchmark makes of logs, metrics and seconds."""

from typing import Any

import pytest

from perf.learner_steps import Step, ends, phase_sums, steps_of, steps_without_phases
from perf.result import Figures
from perf.training_report import Training, learn_s, limit_row, real_rows, steady, table, times_learning

LOG = """\
2026-11-27 10:00:00,000 INFO step 0 of 4: training begins
2026-11-27 10:00:01,500 INFO step 1/4  reward 0.5  kl 0.1  0.9 s
2026-11-27 10:00:01,600 INFO generator 127.0.0.2:8000 holds weights a-2
2026-11-27 10:00:02,750 INFO step 2/4  reward 0.5  kl 0.1  1.2 s
2026-11-27 10:00:02,800 INFO step 2: checkpoint saved
2026-11-27 10:00:05,000 INFO step 4/4  reward 0.5  kl 0.1  1.1 s
"""
METRICS = """\
# TYPE grpo_step_seconds histogram
grpo_step_seconds_sum 7.0
# TYPE grpo_phase_seconds histogram
grpo_phase_seconds_bucket{le="1.0",phase="learn"} 2.0
grpo_phase_seconds_count{phase="learn"} 2.0
grpo_phase_seconds_sum{phase="learn"} 2.25
grpo_phase_seconds_sum{phase="generate"} 4.5
"""


def step(number: int, seconds: float, **phases: float) -> Step:
    return Step(number, seconds, phases)


def test_when_each_step_ended() -> None:
    ended = ends(LOG)
    assert list(ended) == [1, 2, 4]
    assert ended[2] - ended[1] == pytest.approx(1.25)


def test_seconds_of_phases_are_the_sums_of_the_metric() -> None:
    assert phase_sums(METRICS) == {"learn": 2.25, "generate": 4.5}


def test_a_step_is_what_lies_between_two_ends_and_two_scrapes() -> None:
    ended = {1: 100.0, 2: 101.5, 3: 104.0}
    sums = {1: {"learn": 1.0}, 2: {"learn": 2.0, "generate": 0.5}, 3: {"learn": 4.0, "generate": 0.75}}
    assert steps_of(ended, sums) == [step(2, 1.5, learn=1.0, generate=0.5), step(3, 2.5, learn=2.0, generate=0.25)]


def test_a_step_whose_metrics_came_with_the_next_one_is_left_out() -> None:
    ended = {1: 100.0, 2: 101.0, 3: 102.0, 4: 103.0}
    assert [found.number for found in steps_of(ended, {1: {}, 3: {}, 4: {}})] == [4]


def test_steps_of_what_has_no_metrics() -> None:
    (found,) = steps_without_phases(LOG)
    assert (found.number, found.phases) == (2, {})
    assert found.seconds == pytest.approx(1.25)


@pytest.mark.parametrize(("ratio", "times"), [("1:4", 0.25), ("1:1", 1.0), ("4:1", 4.0), ("3:4", 0.75)])
def test_ratios_are_of_generation_to_learning(ratio: str, times: float) -> None:
    assert times_learning(ratio) == times


STEPS = [step(3, 3.0, learn=1.0, generate=2.0), step(4, 3.5, learn=1.5), step(5, 5.5, learn=3.5, generate=2.5)]


def test_learning_is_the_mean_of_its_phase() -> None:
    assert learn_s(STEPS) == 2.0


def test_a_step_is_the_mean_of_long_and_short_ones() -> None:
    """The middle one of 2, 2, 4, 2, 4 seconds would be shorter than generation, which no step can be for long."""
    steps = [step(number, seconds) for number, seconds in enumerate((2.0, 2.0, 4.0, 2.0, 4.0, 4.0))]
    row = limit_row(1, "2:1", 1, steps, 3.0, 1.5)
    assert (row["step_s"], row["efficiency"]) == (3.0, 1.0)


@pytest.mark.parametrize(
    ("generate_s", "learn_s", "efficiency", "overhead"),
    [(2.0, 1.0, 0.5, 0.25), (0.5, 3.0, 0.75, 0.125), (3.0, 0.125, 0.75, 0.219)],
)
def test_a_row_of_the_limit(generate_s: float, learn_s: float, efficiency: float, overhead: float) -> None:
    row = limit_row(2, "2:1", 0, STEPS, generate_s, learn_s)
    assert row == {
        "ranks": 2,
        "ratio": "2:1",
        "max_staleness": 0,
        "step_s": 4.0,
        "generate_s": generate_s,
        "learn_s": learn_s,
        "efficiency": efficiency,
        "overhead": overhead,
        "phase_s": {"generate": 1.5, "learn": 2.0},
    }


def test_overhead_is_said_of_the_synchronous_mode_alone() -> None:
    assert limit_row(2, "2:1", 1, STEPS, 2.0, 1.0)["overhead"] is None


@pytest.mark.parametrize(
    ("max_staleness", "numbers"), [(0, range(4, 17)), (1, range(6, 16)), (2, range(6, 15)), (3, range(10, 14))]
)
def test_steps_that_begin_ahead_or_end_alone_are_left_out(max_staleness: int, numbers: range) -> None:
    steps = [step(number, 1.0) for number in range(2, 17)]
    assert [step.number for step in steady(steps, max_staleness)] == list(numbers)


def entry(step: int, accuracy: float, length: float) -> dict[str, Any]:
    return {"step": step, "reward": 1.0, "rewards/accuracy/mean": accuracy, "completions/mean_length": length}


HISTORY = [entry(1, 0.0, 1.0), entry(2, 0.25, 10.0), entry(3, 0.5, 20.0), {"step": 3, "train_runtime": 9.0}]


def test_tokens_and_accuracy_are_of_the_same_steps_as_seconds() -> None:
    training = Training.of([step(2, 1.0), step(3, 2.0)], HISTORY, completions=8)
    assert training == Training([step(2, 1.0), step(3, 2.0)], [80.0, 160.0], [0.25, 0.5])
    assert training.without_first(1) == Training([step(3, 2.0)], [160.0], [0.5])


def test_modes_are_compared_with_the_first_of_them() -> None:
    def training(seconds: float, accuracy: list[float]) -> Training:
        steps = [step(number, seconds, learn=seconds / 2) for number in range(len(accuracy))]
        return Training(steps, [300.0] * len(accuracy), accuracy)

    slow, slower = training(2.0, [0.0] * 4 + [0.5] * 5), training(4.0, [0.7])
    rows = real_rows({"synchronous": [slow, slower], "overlapped": [training(1.0, [1.0])]})
    assert rows == [
        {
            "mode": "synchronous",
            "runs": 2,
            "step_s": 3.0,
            "tokens_per_s": 112,
            "final_accuracy": 0.6,
            "of_each_seed": "0.500 0.700",
            "phase_s": {"learn": 1.1},
            "times_as_fast": 1.0,
        },
        {
            "mode": "overlapped",
            "runs": 1,
            "step_s": 1.0,
            "tokens_per_s": 300,
            "final_accuracy": 1.0,
            "of_each_seed": "1.000",
            "phase_s": {"learn": 0.5},
            "times_as_fast": 3.0,
        },
    ]


def test_the_table_has_a_column_for_each_phase() -> None:
    rows: list[Figures] = [
        {"mode": "a", "overhead": None, "phase_s": {"learn": 0.5}},
        {"mode": "longer", "overhead": 0.1, "phase_s": {}},
    ]
    assert table(rows).splitlines() == ["  mode  overhead  learn", "     a              0.5", "longer       0.1       "]
