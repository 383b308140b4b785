"""Each sample is a run that makes sense, and its children are what the golden file shows."""

from pathlib import Path

import pytest

from grpo_operator.desired.recipe import todays_recipe
from unit.golden import BENCHMARKS, FOLDER, golden_files, read_sample, render, render_benchmarks, sample_files

by_name = pytest.mark.parametrize("file", sample_files(), ids=lambda file: file.stem)

TRL_BATCH_SIZE, TRL_NUM_GENERATIONS = 8, 8  # defaults of TRL 1.16


@by_name
def test_golden(file: Path) -> None:
    golden = FOLDER / file.name
    assert golden.exists(), f"{golden.name} is missing: make generate"
    assert render(file) == golden.read_text(), f"{golden.name} is stale: make generate, and look at the difference"


def test_golden_jobs_of_benchmarks() -> None:
    golden = FOLDER / BENCHMARKS
    assert render_benchmarks() == golden.read_text(), (
        f"{BENCHMARKS} is stale: make generate, and look at the difference"
    )


def test_no_golden_file_without_a_sample() -> None:
    assert {file.name for file in FOLDER.glob("*.yaml")} == {*golden_files()}
    assert {*golden_files()} == {file.name for file in sample_files()} | {BENCHMARKS}


@by_name
def test_completions_of_a_step_are_whole_groups(file: Path) -> None:
    spec = read_sample(file).spec
    processes = spec.learners.replicas * spec.learners.processes_per_pod
    recipe, _ = todays_recipe(spec)
    batch = recipe.get("per_device_train_batch_size", TRL_BATCH_SIZE)
    completions = processes * batch * recipe.get("gradient_accumulation_steps", 1)
    assert completions % recipe.get("num_generations", TRL_NUM_GENERATIONS) == 0


@by_name
def test_one_weight_per_reward_function(file: Path) -> None:
    recipe, _ = todays_recipe(read_sample(file).spec)
    weights = recipe.get("reward_weights", [1.0] * len(recipe["reward_funcs"]))
    assert len(weights) == len(recipe["reward_funcs"])
