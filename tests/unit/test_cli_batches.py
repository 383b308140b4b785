"""The arithmetic of batches, with numbers worked out by hand from TRL's and transformers' source."""

from fractions import Fraction
from typing import Any

import pytest

from grpo_cli.batches import Batch
from unit.cli_inputs import plan_of

# 8 processes x 16 x 4 accumulated = 512 completions of 32 prompts, generated at a time.
OPEN_R1: dict[str, Any] = {
    "num_generations": 16,
    "per_device_train_batch_size": 16,
    "gradient_accumulation_steps": 4,
}
EIGHT = {"replicas": 1, "gpus": 8}


def test_completions_and_prompts_of_a_step() -> None:
    batch = plan_of(OPEN_R1, learners=EIGHT).batch
    assert batch == Batch(8, 16, 4, 4, 16, 1)
    assert (batch.completions_per_step, batch.prompts_per_step) == (512, Fraction(32))
    assert (batch.completions_per_generation, batch.prompts_per_generation) == (512, 32)
    assert batch.steps_on_a_generation == 1


def test_trls_defaults() -> None:
    """8 per device, one step, 8 generations: one prompt."""
    batch = plan_of().batch
    assert batch == Batch(1, 8, 1, 1, 8, 1)
    assert (batch.completions_per_step, batch.prompts_per_step, batch.prompts_per_generation) == (8, Fraction(1), 1)


@pytest.mark.parametrize(
    ("recipe", "learners", "batch"),
    [
        ({"per_gpu_train_batch_size": 16}, {}, Batch(1, 16, 1, 1, 8, 1)),
        ({"steps_per_generation": 4}, {}, Batch(1, 8, 1, 4, 8, 1)),
        ({"generation_batch_size": 64}, {"replicas": 2}, Batch(2, 8, 1, 4, 8, 1)),
        ({"generation_batch_size": None, "steps_per_generation": None}, {}, Batch(1, 8, 1, 1, 8, 1)),
        ({"num_iterations": 2}, {"replicas": 2, "gpus": 4, "processes": 3}, Batch(6, 8, 1, 1, 8, 2)),
        ({"dataset_streaming": True, "max_steps": 9}, {}, Batch(1, 8, 1, 1, 8, 1, is_streamed=True)),
    ],
)
def test_what_a_recipe_may_say_of_it(recipe: dict[str, Any], learners: dict[str, int], batch: Batch) -> None:
    assert plan_of(recipe, learners=learners).batch == batch


@pytest.mark.parametrize(
    ("name", "is_streamed"),
    [("org/data", True), ("/volume/rows.jsonl", True), ("/volume/saved", False), ("/volume/saved/", False)],
)
def test_a_folder_is_not_streamed(name: str, is_streamed: bool) -> None:
    recipe = {"dataset_name": name, "dataset_streaming": True, "max_steps": 9}
    assert plan_of(recipe).batch.is_streamed is is_streamed


def test_cpu_has_one_process_per_pod() -> None:
    none = {"gpus": 0}
    assert plan_of(learners=none | {"replicas": 2}, generators=none).batch.processes == 2


def test_the_batches_of_trl_014() -> None:
    """One prompt per device was num_generations completions, and 8 steps were accumulated."""
    batch = plan_of({"num_generations": 4}, recipeDefaults="trl-0.14").batch
    assert batch == Batch(1, 4, 8, 8, 4, 1)
    assert batch.prompts_per_step == 8


@pytest.mark.parametrize(
    ("batch", "rows", "steps"),
    [
        # 93733 // 32 = 2929 generations of 4 passes, 4 passes a step.
        (Batch(8, 16, 4, 4, 16, 1), 93733, 2929),
        (Batch(8, 16, 4, 4, 16, 1), 32, 1),
        # 10 generations, each learnt from twice.
        (Batch(1, 8, 1, 1, 8, 2), 10, 20),
        # 3 generations of 2 passes, 4 passes a step: the last step is incomplete, and made.
        (Batch(1, 8, 4, 2, 8, 1), 6, 2),
        # Of a stream, its passes go on with the next reading.
        (Batch(1, 8, 4, 2, 8, 1, is_streamed=True), 6, 1),
        # 8 rows make 2 generations of 4 prompts, of 4 passes each, a step each.
        (Batch(1, 8, 1, 4, 8, 1), 8, 8),
    ],
)
def test_steps_of_an_epoch(batch: Batch, rows: int, steps: int) -> None:
    assert batch.steps_per_epoch(rows) == steps


def test_steps_of_a_run() -> None:
    assert plan_of(OPEN_R1 | {"num_train_epochs": 1}, rows=93733, learners=EIGHT).total_steps == 2929
    assert plan_of(OPEN_R1, rows=93733, learners=EIGHT).total_steps == 3 * 2929
    assert plan_of(OPEN_R1 | {"num_train_epochs": 0.5}, rows=93733, learners=EIGHT).total_steps == 1465
    assert plan_of(OPEN_R1 | {"max_steps": 100}, learners=EIGHT).total_steps == 100
    assert plan_of(OPEN_R1, learners=EIGHT).total_steps is None


def test_a_generation_of_several_steps() -> None:
    batch = Batch(1, 8, 2, 8, 8, 2)
    assert batch.steps_on_a_generation == 8
    assert Batch(1, 8, 4, 2, 8, 1).steps_on_a_generation == Fraction(1, 2)
    assert Batch(1, 8, 1, 2, 16, 1).prompts_per_step == Fraction(1, 2)
