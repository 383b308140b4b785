"""What the benchmark makes of the line in which a learner tells its start."""

import pytest

from grpo_contract.metrics import StartupPart
from grpo_trainer.instruments.startup import described
from perf.startup_cost import figures, parts_told, table

PARTS = dict.fromkeys(StartupPart, 0.5) | {StartupPart.LAUNCH: 2.0, StartupPart.IMPORTS: 7.5}


def test_the_learners_line_is_read() -> None:
    log = f"00:00:00,1 INFO step 1/1  reward 1 0.8 s\n2026-11-27 06:46:41,102 INFO {described(PARTS)}\n"
    assert parts_told(log) == PARTS


def test_a_learner_that_told_nothing() -> None:
    with pytest.raises(ValueError, match="not enough values"):
        parts_told("step 1/1  reward 1  0.8 s\n")


def test_figures_are_medians_and_shares_of_their_sum() -> None:
    starts = [PARTS, PARTS | {StartupPart.IMPORTS: 8.5}, PARTS | {StartupPart.IMPORTS: 100.0, StartupPart.DATA: 3.0}]
    values = figures(40.0, starts)
    rest = {part.value: 0.5 for part in StartupPart}
    assert values == {
        "starts": 3,
        "first_step_done_s": 14.0,
        "part_s": rest | {"launch": 2.0, "imports": 8.5},
        "part_share": dict.fromkeys(rest, 0.04) | {"launch": 0.14, "imports": 0.61},
        "generator_answers_s": 40.0,
    }
    assert table(values).splitlines()[1] == "imports                        8.5 s     61%"
    assert table(values).splitlines()[-2] == "first step done, median       14.0 s"
