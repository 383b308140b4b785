"""What a recipe's num_processes has to do with the learners of its run."""

from typing import Any

import pytest

from grpo_cli.check import Known
from grpo_cli.finding import Level
from grpo_cli.from_recipe import Pods
from grpo_cli.processes import written_for
from unit.cli_inputs import report_of, run_of, said

SEVEN = {"num_processes": 7, "num_generations": 7}
REMEDY = "the recipe was written for 7 processes (num_processes), which spec.learners {replicas: 1, gpus: 7} (--learners 1x7) are."


def errors_of(recipe: dict[str, Any], replicas: int, gpus: int) -> list[tuple[str, str]]:
    return said(report_of(run_of(recipe, learners={"replicas": replicas, "gpus": gpus})), Level.ERROR)


@pytest.mark.parametrize(
    ("processes", "pods"),
    [
        (7, Pods(1, 7)), (8, Pods(1, 8)), (1, Pods(1, 1)), (16, Pods(2, 8)), (12, Pods(1, 12)),
        (None, None), (0, None), ("7", None), (True, None), (7.5, None),
    ],
)  # fmt: skip
def test_learners_of_so_many_processes(processes: Any, pods: Pods | None) -> None:
    assert written_for(processes) == pods


def test_an_error_names_the_learners_that_suit() -> None:
    assert errors_of(SEVEN | {"per_device_train_batch_size": 1}, 1, 8) == [
        (
            "spec.recipe.num_generations",
            "spec.recipe.num_generations is 7, which does not divide the 8 completions of a generation: 8 learner processes x "
            f"per_device_train_batch_size 1 x gradient_accumulation_steps 1; {REMEDY}",
        )
    ]
    assert errors_of(SEVEN | {"per_device_train_batch_size": 1}, 1, 7) == []


def test_learners_that_do_not_suit_either_are_not_named() -> None:
    ((_, sentence),) = errors_of(SEVEN | {"num_generations": 5, "per_device_train_batch_size": 1}, 1, 8)
    assert sentence.endswith("; change one of them.")


def test_what_has_nothing_to_do_with_learners_keeps_its_remedy() -> None:
    found = dict(errors_of(SEVEN | {"per_device_train_batch_size": 1, "reward_weights": [1, 2]}, 1, 8))
    assert found.keys() == {"spec.recipe.num_generations", "spec.recipe.reward_weights"}
    assert found["spec.recipe.num_generations"].endswith(REMEDY)
    assert found["spec.recipe.reward_weights"].endswith("; give one weight per reward function, or none at all.")


def test_of_an_evaluation_likewise() -> None:
    recipe = SEVEN | {"per_device_train_batch_size": 7, "per_device_eval_batch_size": 1, "do_eval": True}
    ((field, sentence),) = errors_of(recipe, 1, 8)
    assert field == "spec.recipe.per_device_eval_batch_size"
    assert sentence.endswith(f"per_device_eval_batch_size 1; {REMEDY}")


def test_other_learners_that_divide_are_told() -> None:
    recipe = {
        "num_processes": 7,
        "num_generations": 4,
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 2,
    }
    note = (
        "spec.learners",
        "spec.learners are 8 processes, but the recipe was written for 7 (num_processes), so that a step learns from 64 "
        "completions instead of 56; spec.learners {replicas: 1, gpus: 7} (--learners 1x7) makes it what it was.",
    )
    assert note in said(report_of(run_of(recipe, learners={"gpus": 8}), Known()), Level.NOTE)
    for same in (recipe | {"num_processes": 8}, recipe | {"num_processes": None}):
        told = said(report_of(run_of(same, learners={"gpus": 8})), Level.NOTE)
        assert "spec.learners" not in [field for field, _ in told]
