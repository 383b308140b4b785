"""Training and evaluation on a data set that is streamed, of as many files as there are ranks: two gloo ranks under ZeRO-3."""

import json
from pathlib import Path
from typing import Any

import pytest

from grpo_contract.config import RunConfig
from trainer.learner_inputs import learner_config, write_rows
from trainer.test_made_up_evaluation import lost, results_of
from trainer.test_zero3 import STEPS, Finished, Logs, evaluations_of, numbers, without_model
from trainer.test_zero3 import run as run_ranks

STREAMING = Path(__file__).with_name("streaming_learner.py")
TIMED = {"eval_runtime", "eval_samples_per_second", "eval_steps_per_second", "eval_step_time"}
# 3 rows x 2 completions, in batches of 2 ranks x 2.
EVALUATING = {
    "eval_strategy": "epoch",
    "eval_on_start": True,
    "per_device_eval_batch_size": 2,
    "num_generations_eval": 2,
}


def run(folder: Path, config: RunConfig) -> Finished:
    return run_ranks(folder, config, "zero3", STREAMING)


def with_recipe(config: RunConfig, recipe: dict[str, Any]) -> RunConfig:
    return config.model_copy(update={"recipe": config.recipe | recipe})


@pytest.fixture(scope="module")
def config(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    """12 problems, 4 a step: the 8 steps read the stream almost three times. The ranks' files differ in their rows."""
    folder = tmp_path_factory.mktemp("data")
    rows = [{"problem": f"What is {number} + 1?", "solution": f"${number + 1}$"} for number in range(15)]
    for name, part in {"train-0": rows[:9], "train-1": rows[9:12], "test-0": rows[12:14], "test-1": rows[14:]}.items():
        write_rows(folder / f"{name}.jsonl", part)
    return learner_config(
        tiny_model, folder, max_steps=STEPS, dataset_streaming=True, vllm_importance_sampling_correction=False
    )


@pytest.fixture(scope="module")
def trained(config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return run(tmp_path_factory.mktemp("trained"), config)


@pytest.fixture(scope="module")
def evaluated(config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return run(tmp_path_factory.mktemp("evaluated"), with_recipe(config, EVALUATING))


@pytest.fixture(scope="module")
def not_streamed(config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    recipe = EVALUATING | {"dataset_streaming": False}
    return run(tmp_path_factory.mktemp("not-streamed"), with_recipe(config, recipe))


def figures(run: Finished) -> Logs:
    return [{key: value for key, value in entry.items() if key not in TIMED} for entry in evaluations_of(run)]


def test_training_is_the_same_with_evaluations_in_between(trained: Finished, evaluated: Finished) -> None:
    assert len(numbers(trained)) == STEPS
    assert numbers(evaluated) == numbers(trained)


def test_evaluations_are_those_of_rows_that_are_not_streamed(evaluated: Finished, not_streamed: Finished) -> None:
    """The script's completions depend on prompts alone, so rewards are the same at each step. Training has another order."""
    streamed, whole = figures(evaluated), figures(not_streamed)
    assert [(entry["step"], entry["epoch"]) for entry in streamed] == [(0, 0), (3, 0.375), (6, 1.375), (8, 2.25)]
    assert streamed[0] == whole[0]
    assert [entry["eval_reward"] for entry in streamed] == [entry["eval_reward"] for entry in whole]


def test_each_rank_learns_from_whole_groups(trained: Finished, not_streamed: Finished) -> None:
    """Each reading has all rows once: the rewards of 3 steps have one mean, however they are ordered."""

    def of_readings(run: Finished) -> list[float]:
        rewards = [entry["reward"] for entry in run.steps()]
        return [sum(rewards[:3]) / 3, sum(rewards[3:6]) / 3]

    assert of_readings(trained) == pytest.approx(of_readings(not_streamed), abs=1e-6)


def test_what_is_told_of_the_last_one(evaluated: Finished) -> None:
    results = json.loads((evaluated.model / "eval_results.json").read_text())
    assert results["eval_samples"] == 3
    assert results["eval_reward"] == evaluations_of(evaluated)[-1]["eval_reward"]
    assert f"After step {STEPS}:\n\n| | mean of the evaluation |" in (evaluated.model / "README.md").read_text()


@pytest.mark.parametrize(("kept", "incomplete"), [(2, [4, 6, 8]), (4, [6, 8]), (6, [8])])
def test_a_resumed_run_goes_on_in_the_stream(
    evaluated: Finished, tmp_path: Path, kept: int, incomplete: list[int]
) -> None:
    """From within its first and its second reading, and from the end of that, which was not evaluated any more."""
    without_model(evaluated, tmp_path, *incomplete)
    resumed = run(tmp_path, evaluated.config)
    assert f"resuming from the checkpoint of step {kept}" in (tmp_path / "learner.log").read_text()
    assert numbers(resumed) == numbers(evaluated)
    assert figures(resumed) == figures(evaluated)


def test_a_lost_evaluation_is_made_up(evaluated: Finished, tmp_path: Path) -> None:
    made_up = lost(evaluated, tmp_path)
    run(tmp_path, made_up.config)
    assert results_of(made_up) == results_of(evaluated)
    assert results_of(made_up)["eval_samples"] == 3


def test_it_ends_early_with_its_best_model_also_when_resumed(config: RunConfig, tmp_path: Path) -> None:
    """The KL divergence grows: the end of the first reading is the best, that of the second the last. An attempt that goes on
    from the first one, which has been evaluated, does not count it again."""
    stopping = {"callbacks": ["early_stopping"], "early_stopping_patience": 1}
    loading = {"load_best_model_at_end": True, "metric_for_best_model": "kl", "greater_is_better": False}
    recipe = EVALUATING | {"eval_on_start": False} | stopping | loading
    (tmp_path / "stopped").mkdir()
    stopped = run(tmp_path / "stopped", with_recipe(config, recipe))
    assert len(numbers(stopped)) == 6
    assert [entry["step"] for entry in evaluations_of(stopped)] == [3, 6, 3]

    without_model(stopped, tmp_path / "resumed", 4, 6)
    resumed = run(tmp_path / "resumed", stopped.config)
    assert "resuming from the checkpoint of step 3" in (resumed.folder / "learner.log").read_text()
    assert numbers(resumed) == numbers(stopped)
    assert figures(resumed) == figures(stopped)
    assert (resumed.model / "model.safetensors").read_bytes() == (stopped.model / "model.safetensors").read_bytes()
