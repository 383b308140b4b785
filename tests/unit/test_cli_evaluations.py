"""What is said of evaluations beforehand, with numbers worked out by hand from transformers', TRL's and accelerate's source."""

import json
from typing import Any

import pytest

from grpo_cli.check import Known
from grpo_cli.evaluation_findings import evaluation_findings
from grpo_cli.evaluations import Evaluations, Schedule, completions_of_training, evaluations_of
from grpo_cli.finding import Level
from grpo_cli.report import as_json, as_text
from grpo_cli.rows import rows_of
from unit.cli_inputs import plan_of, report_of, run_of, said

HUNDRED = {"eval_strategy": "steps", "max_steps": 100}
# 8 completions of a prompt at a time: 20 rows make 20 steps an epoch, 50 steps two and a half epochs.
EPOCHS = {"eval_strategy": "epoch", "max_steps": 50}
STREAMED = EPOCHS | {"dataset_streaming": True}


@pytest.mark.parametrize(
    ("recipe", "schedule"),
    [
        ({"do_eval": True, "max_steps": 10}, Schedule(0, 0, 1)),
        ({"eval_on_start": True, "max_steps": 10}, Schedule(1, 0, 0)),
        ({"eval_on_start": True, "do_eval": True}, Schedule(1, 0, 1)),
        (HUNDRED | {"eval_steps": 20}, Schedule(0, 5, 0)),  # 20, 40, 60, 80, 100
        (HUNDRED | {"eval_steps": 30}, Schedule(0, 4, 0)),  # 30, 60, 90, and the last
        (HUNDRED | {"eval_steps": 30, "eval_delay": 31}, Schedule(0, 3, 0)),  # 60, 90, and the last
        (HUNDRED | {"eval_steps": 30, "eval_delay": 60}, Schedule(0, 3, 0)),
        (HUNDRED | {"eval_steps": 30, "eval_delay": 60.5}, Schedule(0, 2, 0)),
        (HUNDRED | {"eval_steps": 30, "eval_delay": 100}, Schedule(0, 1, 0)),
        (HUNDRED | {"eval_steps": 30, "eval_delay": 101}, Schedule(0, 0, 1)),
        (HUNDRED | {"eval_steps": 30, "eval_on_start": True}, Schedule(1, 4, 0)),
        (HUNDRED | {"eval_steps": 1000}, Schedule(0, 1, 0)),
        (HUNDRED | {"eval_steps": 0.25}, Schedule(0, 4, 0)),
        (HUNDRED | {"eval_steps": 0.333}, Schedule(0, 3, 0)),  # every 34: 34, 68, and the last
        (HUNDRED, Schedule(0, 100, 0)),  # as often as it logs, which is each step
        (HUNDRED | {"eval_steps": 0, "logging_steps": 10}, Schedule(0, 10, 0)),
        (HUNDRED | {"logging_steps": 0.5}, Schedule(0, 2, 0)),
        (EPOCHS, Schedule(0, 3, 0)),
        (EPOCHS | {"eval_delay": 1.5}, Schedule(0, 2, 0)),  # at 2 and 2.5
        (EPOCHS | {"eval_delay": 2.5}, Schedule(0, 1, 0)),
        (EPOCHS | {"eval_delay": 2.6}, Schedule(0, 0, 1)),
        (EPOCHS | {"max_steps": 40}, Schedule(0, 2, 0)),
        (EPOCHS | {"max_steps": None, "num_train_epochs": 1.25}, Schedule(0, 2, 0)),
        (EPOCHS | {"max_steps": 45, "gradient_accumulation_steps": 4}, Schedule(0, 9, 0)),  # 5 steps an epoch
        (STREAMED, Schedule(0, 3, 0)),  # at 0.4, 1.4 and 2.2
        (STREAMED | {"eval_delay": 0.5}, Schedule(0, 2, 0)),
        (STREAMED | {"eval_delay": 1.4}, Schedule(0, 2, 0)),
        (STREAMED | {"eval_delay": 2}, Schedule(0, 1, 0)),
        (STREAMED | {"eval_delay": 2.5}, Schedule(0, 0, 1)),
        (STREAMED | {"max_steps": 40}, Schedule(0, 2, 0)),  # at 0.5 and 1.5
        (STREAMED | {"max_steps": 10}, Schedule(0, 1, 0)),  # at 1
    ],
)
def test_when_a_run_evaluates(recipe: dict[str, Any], schedule: Schedule) -> None:
    assert evaluations_of(plan_of(recipe, rows=20)).schedule == schedule


@pytest.mark.parametrize(
    "recipe",
    [
        EPOCHS,
        HUNDRED | {"max_steps": None},
        HUNDRED | {"max_steps": None, "eval_steps": 0.1},
        HUNDRED | {"logging_steps": 2.5, "logging_strategy": "epoch"},
        HUNDRED | {"eval_steps": -1},
        HUNDRED | {"logging_steps": 0},
    ],
)
def test_where_the_number_of_evaluations_is_not_known(recipe: dict[str, Any]) -> None:
    planned = evaluations_of(plan_of(recipe))
    assert (planned.schedule, planned.number, planned.completions) == (None, None, None)


@pytest.mark.parametrize(
    ("rows", "drops_last", "counted", "completions"),
    [
        (100, False, 100, 400),
        (101, False, 104, 416),
        (101, True, 100, 400),
        (3, False, 4, 16),
        (3, True, 0, 0),
        (None, False, None, None),
    ],
)
def test_completions_of_an_evaluation(
    rows: int | None, drops_last: bool, counted: int | None, completions: int | None
) -> None:
    """2 processes x 8 = 16 completions of 4 rows at a time."""
    planned = Evaluations(rows, 16, 4, drops_last, Schedule(1, 2, 0))
    assert planned.rows_per_batch == 4
    assert (planned.counted_rows, planned.completions_per_evaluation) == (counted, completions)
    assert planned.completions == (None if completions is None else 3 * completions)


def test_keys_of_an_evaluation() -> None:
    recipe = {"do_eval": True, "num_generations_eval": 2, "per_device_eval_batch_size": 4, "dataloader_drop_last": True}
    plan = report_of(run_of(recipe, learners={"gpus": 4}), Known(eval_rows=9)).plan
    assert plan is not None
    assert evaluations_of(plan) == Evaluations(9, 16, 2, True, Schedule(0, 0, 1))
    assert evaluations_of(plan_of({"do_eval": True})) == Evaluations(None, 8, 8, False, Schedule(0, 0, 1))


@pytest.mark.parametrize(
    ("recipe", "rows", "completions"),
    [
        ({"max_steps": 100}, None, 800),
        ({"max_steps": 100, "num_iterations": 2}, None, 400),
        ({"max_steps": 101, "num_iterations": 2}, None, 408),
        ({"max_steps": 3, "steps_per_generation": 4}, None, 32),
        # 3 generations of 2 passes make an epoch of 2 steps, the second of 2 passes.
        ({"max_steps": 5, "gradient_accumulation_steps": 4, "steps_per_generation": 2}, 6, 128),
        ({"max_steps": None}, None, None),
    ],
)
def test_completions_of_training(recipe: dict[str, Any], rows: int | None, completions: int | None) -> None:
    assert completions_of_training(plan_of(recipe, rows=rows)) == completions


MIXTURE: dict[str, Any] = {"datasets": [{"id": "a"}]}


@pytest.mark.parametrize(
    ("recipe", "rows", "split"),
    [
        ({}, 100, (100, 7)),
        ({"dataset_mixture": MIXTURE}, 100, (100, 7)),
        ({"dataset_mixture": MIXTURE | {"test_split_size": 20.0}}, 100, (80, 20)),
        ({"dataset_mixture": MIXTURE | {"test_split_size": 20.0}}, None, (None, 20)),
        ({"dataset_mixture": MIXTURE | {"test_split_size": 1.0}}, 100, (99, 1)),
        ({"dataset_mixture": MIXTURE | {"test_split_size": 0.333}}, 100, (66, 34)),
        ({"dataset_mixture": MIXTURE | {"test_split_size": 0.333}}, None, (None, None)),
        ({"dataset_mixture": MIXTURE | {"test_split_size": 200}}, 100, (0, 200)),
        ({"dataset_mixture": MIXTURE | {"test_split_size": 20}, "dataset_train_split": "test"}, 100, (20, 20)),
        ({"dataset_mixture": MIXTURE | {"test_split_size": 20}, "dataset_test_split": "train"}, 100, (80, 80)),
        ({"dataset_mixture": MIXTURE | {"test_split_size": 20}, "dataset_test_split": "other"}, 100, (80, None)),
    ],
)
def test_rows_to_train_and_to_evaluate_on(
    recipe: dict[str, Any], rows: int | None, split: tuple[int | None, int | None]
) -> None:
    assert rows_of(recipe, rows, 7) == split


# (level, recipe, eval rows, neighbour, its eval rows, field below spec.recipe, sentence after spec.recipe.)
FINDINGS: list[tuple[Level, dict[str, Any], int | None, dict[str, Any], int | None, str, str]] = [
    (
        Level.ERROR,
        {"do_eval": True, "dataloader_drop_last": True, "num_generations_eval": 2},
        3,
        {"do_eval": True, "dataloader_drop_last": True, "num_generations_eval": 2},
        4,
        "dataset_test_split",
        "dataset_test_split: there are 3 rows to evaluate on, and 4 are needed, since dataloader_drop_last leaves out a batch "
        "that is not whole; give it a split with more rows, or raise test_split_size of dataset_mixture.",
    ),
    (
        Level.ERROR,
        {"do_eval": True, "max_steps": None, "dataset_streaming": True},
        20_001,
        {"do_eval": True, "max_steps": None, "dataset_streaming": True},
        20_000,
        "dataset_test_split",
        "dataset_test_split is 'test', which has more than 20000 rows, and those of a data set that is streamed are held in "
        "memory; name a smaller split, or leave dataset_streaming out.",
    ),
    (
        Level.NOTE,
        {"do_eval": True, "dataloader_drop_last": True, "num_generations_eval": 2},
        5,
        {"do_eval": True, "num_generations_eval": 2},
        8,
        "dataloader_drop_last",
        "dataloader_drop_last is true, so that 1 of the 5 rows are left out of an evaluation, for they fill no batch of 4; "
        "evaluate on a multiple of 4 rows where that matters.",
    ),
    (
        Level.NOTE,
        {"do_eval": True, "per_device_eval_batch_size": 16},
        7,
        {"do_eval": True, "per_device_eval_batch_size": 8},
        7,
        "per_device_eval_batch_size",
        "per_device_eval_batch_size is 16, so that an evaluation batch has 2 rows, and the last one of 7 rows is filled up "
        "with 1 that count again; evaluate on a multiple of 2 rows where that matters.",
    ),
    (
        Level.WASTE,
        HUNDRED | {"eval_steps": 10},
        11,
        HUNDRED | {"eval_steps": 10},
        10,
        "eval_steps",
        "eval_steps: the run's 10 evaluations write 880 completions, more than the 800 of its training; evaluate less often, "
        "on fewer rows or with a lower num_generations_eval.",
    ),
    (
        Level.WASTE,
        {"do_eval": True, "max_steps": 100},
        101,
        {"do_eval": True, "max_steps": None},
        101,
        "do_eval",
        "do_eval: the run's 1 evaluations write 808 completions, more than the 800 of its training; evaluate less often, on "
        "fewer rows or with a lower num_generations_eval.",
    ),
    (
        Level.NOTE,
        HUNDRED | {"eval_steps": 10, "eval_delay": 101},
        None,
        HUNDRED | {"eval_steps": 10, "eval_delay": 100},
        None,
        "eval_delay",
        "eval_delay is 101, but the run has 100 steps, and nothing is evaluated while it trains; lower it.",
    ),
    (
        Level.NOTE,
        {"do_eval": True, "eval_steps": 10},
        None,
        {"do_eval": True},
        None,
        "eval_steps",
        "eval_steps is without effect: eval_strategy is no, and only with steps it counts.",
    ),
    (
        Level.WASTE,
        {"dataset_name": None, "dataset_mixture": MIXTURE | {"test_split_size": 0.1}},
        None,
        {"dataset_name": None, "dataset_mixture": MIXTURE | {"test_split_size": 0.1}, "do_eval": True},
        None,
        "dataset_mixture.test_split_size",
        "dataset_mixture.test_split_size is 0.1, but nothing is evaluated on the rows that it keeps out of training; set "
        "eval_strategy or do_eval, or leave it out.",
    ),
]


def found(recipe: dict[str, Any], eval_rows: int | None) -> list[tuple[Level, str, str]]:
    plan = report_of(run_of(recipe), Known(eval_rows=eval_rows)).plan
    assert plan is not None
    return [(finding.level, finding.field, finding.sentence) for finding in evaluation_findings(plan)]


@pytest.mark.parametrize(("level", "recipe", "rows", "neighbour", "others", "field", "sentence"), FINDINGS)
def test_what_is_told(
    level: Level,
    recipe: dict[str, Any],
    rows: int | None,
    neighbour: dict[str, Any],
    others: int | None,
    field: str,
    sentence: str,
) -> None:
    assert found(recipe, rows) == [(level, f"spec.recipe.{field}", f"spec.recipe.{sentence}")]
    assert found(neighbour, others) == []


def test_a_delay_in_epochs() -> None:
    report = report_of(run_of(EPOCHS | {"eval_delay": 3}), Known(rows=20))
    assert said(report, Level.NOTE)[-1] == (
        "spec.recipe.eval_delay",
        "spec.recipe.eval_delay is 3, but the run has 2.5 epochs, and nothing is evaluated while it trains; lower it.",
    )
    assert "eval_delay" not in str(said(report_of(run_of(EPOCHS | {"eval_delay": 2.5}), Known(rows=20))))
    assert "eval_delay" not in str(said(report_of(run_of(EPOCHS | {"eval_delay": 3}))))
    streamed = report_of(run_of(STREAMED | {"eval_delay": 2.25}), Known(rows=20))
    assert said(streamed, Level.NOTE)[-1][1] == (
        "spec.recipe.eval_delay is 2.25, but the run has 2.2 epochs, and nothing is evaluated while it trains; lower it."
    )


RECIPE = HUNDRED | {"eval_steps": 40, "eval_on_start": True, "num_generations_eval": 2}


def lines(recipe: dict[str, Any], known: Known) -> list[str]:
    text = as_text(report_of(run_of(recipe), known))
    return text[text.index("Evaluation\n") :].split("\n\n")[0].splitlines()[1:]


def test_the_text() -> None:
    assert lines(RECIPE, Known(eval_rows=10)) == [
        "  rows of an evaluation              10, filled up with 2 that count again",
        "  completions per evaluation         24 = 12 rows x 2 generations",
        "  evaluations of the run             4 = 1 before the first step + 3 during training",
        "  completions of these               96, and 800 of training",
    ]
    assert lines(RECIPE | {"dataloader_drop_last": True}, Known(eval_rows=10))[:2] == [
        "  rows of an evaluation              10, 2 of which are left out",
        "  completions per evaluation         16 = 8 rows x 2 generations",
    ]
    assert lines({"do_eval": True}, Known(eval_rows=10))[:3] == [
        "  rows of an evaluation              10",
        "  completions per evaluation         80 = 10 rows x 8 generations",
        "  evaluations of the run             1 = 1 of the trained model",
    ]
    assert "Evaluation" not in as_text(report_of(run_of({"max_steps": 10})))


def test_the_text_of_what_is_not_known() -> None:
    assert lines({"eval_strategy": "epoch"}, Known()) == [
        "  rows of an evaluation              not known: give --eval-rows",
        "  completions per evaluation         8 of each row",
        "  evaluations of the run             not known: give --rows",
    ]
    mixture = {"dataset_name": None, "dataset_mixture": MIXTURE | {"test_split_size": 0.1}}
    assert lines(mixture | {"do_eval": True}, Known())[0] == (
        "  rows of an evaluation              not known: give --rows"
    )


def test_json() -> None:
    def evaluation(recipe: dict[str, Any], known: Known) -> Any:
        return json.loads(as_json(report_of(run_of(recipe), known)))["evaluation"]

    assert evaluation(RECIPE, Known(eval_rows=10)) == {
        "rows": 10,
        "completionsPerEvaluation": 24,
        "evaluations": 4,
        "completions": 96,
        "completionsOfTraining": 800,
    }
    assert evaluation(HUNDRED, Known())["evaluations"] == 100
    assert evaluation({}, Known()) is None
