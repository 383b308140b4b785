"""Early stopping and the model of the best evaluation, on two gloo ranks under ZeRO-3: what is learnt, where it ends, what is
kept, whose weights the trained model has, and that a run which lost its pods does the same.

Completions come from a script, so that rewards never change. The KL divergence does: it grows from step to step.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file

from grpo_contract.config import CheckpointConfig, RunConfig
from grpo_trainer import training
from grpo_trainer.instruments.metrics import LearnerMetrics
from grpo_trainer.instruments.progress import ProgressBoard
from grpo_trainer.storage import final_model
from grpo_trainer.storage.checkpoint_files import EVAL_RESULTS, MARKER
from trainer.learner_inputs import learner_config, write_problems
from trainer.test_lora import LORA
from trainer.test_zero3 import SCRIPTED, Finished, numbers, without_model
from trainer.test_zero3 import run as run_ranks

SYNCED = Path(__file__).with_name("synced_learner.py")
STEPS = 8
BEST_STEP, ENDED_AT = 2, 6
EVALUATING = {"eval_strategy": "steps", "eval_steps": 2, "per_device_eval_batch_size": 2, "num_generations_eval": 2}
STOPPING = {"callbacks": ["early_stopping"], "early_stopping_patience": 2}
LOADING = {"load_best_model_at_end": True, "metric_for_best_model": "kl", "greater_is_better": False}
EPOCHS = {"eval_strategy": "epoch", "callbacks": ["early_stopping"], "metric_for_best_model": "reward"}


@pytest.fixture(scope="module")
def base(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    """12 problems, 4 a step: three steps an epoch."""
    folder = tmp_path_factory.mktemp("data")
    files = {
        "train": str(write_problems(folder / "train.jsonl")),
        "test": str(write_problems(folder / "test.jsonl", 3)),
    }
    datasets.load_dataset("json", data_files=files, cache_dir=str(folder / "cache")).save_to_disk(folder / "data")
    return learner_config(
        tiny_model, folder / "data", max_steps=STEPS, vllm_importance_sampling_correction=False, keep=2, every_steps=4
    )


def with_recipe(config: RunConfig, *recipes: dict[str, Any]) -> RunConfig:
    return config.model_copy(
        update={"recipe": config.recipe | {key: value for recipe in recipes for key, value in recipe.items()}}
    )


def run(folder: Path, config: RunConfig, program: Path = SYNCED) -> Finished:
    return run_ranks(folder, config, "zero3", program)


def kept(finished: Finished) -> list[str]:
    return sorted(marker.parent.name for marker in (finished.run_folder / "checkpoints").glob(f"*/{MARKER}"))


def log_of(finished: Finished) -> str:
    return (finished.folder / "learner.log").read_text()


def evaluations_of(finished: Finished) -> list[dict[str, Any]]:
    timed = ("eval_runtime", "eval_samples_per_second", "eval_steps_per_second")
    return [
        {key: value for key, value in entry.items() if key not in timed}
        for entry in finished.history()
        if "eval_reward" in entry
    ]


@pytest.fixture(scope="module")
def plain(base: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return run(tmp_path_factory.mktemp("plain"), base)


@pytest.fixture(scope="module")
def stopped(base: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return run(tmp_path_factory.mktemp("stopped"), with_recipe(base, EVALUATING, STOPPING, LOADING))


@pytest.fixture(scope="module")
def resumed(stopped: Finished, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """From step 4, whose model is not the best, and after one evaluation of two that end it."""
    folder = tmp_path_factory.mktemp("resumed")
    return run(folder, without_model(stopped, folder, ENDED_AT).config)


WHY = "eval_kl did not fall below its best, {best:.4g}, in 2 evaluations in a row"


def test_it_learns_the_same_until_it_ends(plain: Finished, stopped: Finished) -> None:
    assert len(numbers(plain)) == STEPS
    assert numbers(stopped) == numbers(plain)[:ENDED_AT]


def test_why_it_ended(stopped: Finished) -> None:
    first, second, third, last = evaluations_of(stopped)
    assert [entry["step"] for entry in (first, second, third, last)] == [2, 4, 6, BEST_STEP]
    assert first["eval_kl"] < min(second["eval_kl"], third["eval_kl"])
    why = WHY.format(best=first["eval_kl"])
    assert f"training ended early, at step {ENDED_AT} of {STEPS}: {why}" in log_of(stopped)
    card = (stopped.model / "README.md").read_text()
    assert f"Training ended early, at step {ENDED_AT} of {STEPS}: {why}." in card
    assert (
        f"Of the {ENDED_AT} steps made, the weights are those of step {BEST_STEP}, the best by its evaluation" in card
    )
    assert f"After step {BEST_STEP}:" in card


def best_told(finished: Finished) -> Any:
    """By the learner's last progress."""
    return json.loads((finished.folder / "progress.json").read_text())["evaluation"]["best"]


def test_which_evaluation_is_the_best(stopped: Finished, by_epochs: Finished) -> None:
    first, *_ = evaluations_of(stopped)
    assert best_told(stopped) == {"step": BEST_STEP, "metric": "eval_kl", "value": first["eval_kl"]}
    first, *_ = evaluations_of(by_epochs)
    assert best_told(by_epochs) == {"step": 3, "metric": "eval_reward", "value": first["eval_reward"]}


def test_the_trained_model_is_that_of_the_best_evaluation(stopped: Finished) -> None:
    best = stopped.run_folder / "checkpoints" / f"checkpoint-{BEST_STEP}"
    assert (stopped.model / "model.safetensors").read_bytes() == (best / "model.safetensors").read_bytes()
    last = stopped.run_folder / "checkpoints" / f"checkpoint-{ENDED_AT}"
    assert (stopped.model / "model.safetensors").read_bytes() != (last / "model.safetensors").read_bytes()


def test_a_best_model_that_is_damaged_is_not_taken(stopped: Finished, tmp_path: Path) -> None:
    checkpoints = without_model(stopped, tmp_path, ENDED_AT).run_folder / "checkpoints"
    states = (
        checkpoints
        / f"checkpoint-{BEST_STEP}"
        / f"global_step{BEST_STEP}"
        / "zero_pp_rank_1_mp_rank_00_optim_states.pt"
    )
    content = bytearray(states.read_bytes())
    content[len(content) // 2] ^= 1
    states.write_bytes(content)
    finished = run(tmp_path, stopped.config)
    said = f"checkpoint-{BEST_STEP}, which has the best model, is not as it was written"
    assert log_of(finished).count(said) == 1
    progress = json.loads((tmp_path / "progress.json").read_text())
    assert progress["checkpointHealth"]["trouble"] == "CheckpointDamaged"
    last = stopped.run_folder / "checkpoints" / f"checkpoint-{ENDED_AT}"
    assert (finished.model / "model.safetensors").read_bytes() == (last / "model.safetensors").read_bytes()


def test_the_best_checkpoint_and_that_of_the_end_stay_beside_those_of_recovery(stopped: Finished) -> None:
    assert kept(stopped) == [f"checkpoint-{step}" for step in (BEST_STEP, 4, ENDED_AT)]


def test_the_last_evaluation_is_of_the_trained_model_on_every_rank(stopped: Finished) -> None:
    """Log-probabilities, and with them the KL divergence, come from the learner's weights, of all ranks."""
    first, *_, last = evaluations_of(stopped)
    of_training = {key: last[key] for key in ("epoch", "eval_num_tokens")}
    assert last == first | of_training
    results = json.loads((stopped.model / "eval_results.json").read_text())
    assert results["eval_kl"] == first["eval_kl"]


def test_generators_evaluate_with_the_weights_of_the_trained_model(stopped: Finished) -> None:
    synced, trained = load_file(stopped.folder / "synced.safetensors"), load_file(stopped.model / "model.safetensors")
    assert synced.keys() == trained.keys()
    assert all(torch.equal(synced[name], trained[name]) for name in trained)


def test_a_run_that_lost_its_pods_ends_where_it_would_have(stopped: Finished, resumed: Finished) -> None:
    assert "resuming from the checkpoint of step 4" in log_of(resumed)
    assert numbers(resumed) == numbers(stopped)
    assert evaluations_of(resumed) == evaluations_of(stopped)
    assert best_told(resumed) == best_told(stopped)
    assert kept(resumed) == kept(stopped)
    assert (resumed.model / "model.safetensors").read_bytes() == (stopped.model / "model.safetensors").read_bytes()


def test_an_attempt_after_the_end_trains_no_further(
    stopped: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = without_model(stopped, tmp_path)
    monkeypatch.setattr(training, "checkpoint_folder", lambda name, uid: again.run_folder / "checkpoints")
    monkeypatch.setattr(final_model, "model_folder", lambda name, uid: again.run_folder / "model")
    board, without_evaluation = ProgressBoard(2), with_recipe(stopped.config, {"eval_strategy": "no"})

    assert training.train(without_evaluation, LearnerMetrics(None), board) == again.model
    AcceleratorState._reset_state(reset_partial_state=True)

    steps = board.read().progress
    assert (steps.step, steps.max_steps) == (ENDED_AT, STEPS)
    assert steps.ended_early == WHY.format(best=evaluations_of(stopped)[0]["eval_kl"])
    assert (again.model / "model.safetensors").read_bytes() == (stopped.model / "model.safetensors").read_bytes()
    assert numbers(again) == numbers(stopped)
    assert "the weights are those of step 2" in (again.model / "README.md").read_text()


@pytest.fixture(scope="module")
def by_epochs(base: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Recovery checkpoints are those of the steps whose epochs are evaluated."""
    config = base.model_copy(update={"checkpoint": CheckpointConfig(every_steps=3, keep=2)})
    return run(tmp_path_factory.mktemp("epochs"), with_recipe(config, EVALUATING, EPOCHS))


def test_evaluations_of_epochs_end_it_and_survive_its_pods(
    by_epochs: Finished, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert [entry["step"] for entry in evaluations_of(by_epochs)] == [3, 6]
    assert len(numbers(by_epochs)) == 6
    folder = tmp_path_factory.mktemp("resumed-epochs")
    again = run(folder, without_model(by_epochs, folder, 6).config)
    assert "resuming from the checkpoint of step 3" in log_of(again)
    assert numbers(again) == numbers(by_epochs)
    assert evaluations_of(again) == evaluations_of(by_epochs)


PLATEAU = {
    "lr_scheduler_type": "reduce_lr_on_plateau",
    "lr_scheduler_kwargs": {"factor": 0.5, "patience": 0},
    "metric_for_best_model": "reward",
}


def test_learning_rates_follow_evaluations_and_survive_its_pods(
    base: RunConfig, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Rewards never change: each evaluation but the first is no better."""
    config = base.model_copy(update={"checkpoint": CheckpointConfig(every_steps=3, keep=2)})
    followed = run(tmp_path_factory.mktemp("plateau"), with_recipe(config, EVALUATING, PLATEAU))
    assert [entry["learning_rate"] * 1000 for entry in followed.steps()] == [1, 1, 1, 1, 0.5, 0.5, 0.25, 0.25]
    folder = tmp_path_factory.mktemp("resumed-plateau")
    again = run(folder, without_model(followed, folder).config)
    assert "resuming from the checkpoint of step 6" in log_of(again)
    assert numbers(again) == numbers(followed)
    assert (again.model / "model.safetensors").read_bytes() == (followed.model / "model.safetensors").read_bytes()


GREEDY = {"lr_scheduler_type": "greedy", "lr_scheduler_kwargs": {"factor": 0.5, "patience": 0, "min_lr": 1e-4}}


def test_an_adapter_is_that_of_the_best_evaluation_and_rates_follow_it(
    base: RunConfig, tmp_path_factory: pytest.TempPathFactory
) -> None:
    trained = run(tmp_path_factory.mktemp("adapter"), with_recipe(base, EVALUATING, LOADING, LORA, GREEDY), SCRIPTED)
    assert [entry["learning_rate"] * 100 for entry in trained.steps()] == [1, 1, 2, 2, 1, 1]
    best = trained.run_folder / "checkpoints" / f"checkpoint-{BEST_STEP}"
    name = "adapter_model.safetensors"
    assert (trained.model / name).read_bytes() == (best / name).read_bytes()
    first, *_, last = evaluations_of(trained)
    assert (first["step"], last["step"]) == (BEST_STEP, BEST_STEP)
    assert last["eval_kl"] == first["eval_kl"]


def test_an_evaluation_of_the_best_model_that_was_lost_is_made_up_as_of_its_step(
    stopped: Finished, tmp_path: Path
) -> None:
    shutil.copytree(stopped.folder / "volume", tmp_path / "volume")
    again = Finished(stopped.config, tmp_path)
    (again.model / EVAL_RESULTS).unlink()
    run(tmp_path, again.config)
    before, after = (json.loads((finished.model / EVAL_RESULTS).read_text()) for finished in (stopped, again))
    assert {key: before[key] for key in ("eval_reward", "eval_kl", "eval_loss")} == {
        key: after[key] for key in ("eval_reward", "eval_kl", "eval_loss")
    }
    assert evaluations_of(again)[-1]["step"] == BEST_STEP
    assert best_told(again) == best_told(stopped)
    assert f"the weights are those of step {BEST_STEP}" in (again.model / "README.md").read_text()
