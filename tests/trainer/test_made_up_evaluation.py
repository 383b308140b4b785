"""An attempt that ends after its training, before the trained model is evaluated: the next one makes the evaluation up."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from grpo_trainer.storage.checkpoint_files import EVAL_RESULTS, MODEL_CARD
from trainer.learner_inputs import learner_config, write_problems
from trainer.test_starting_runs import contents
from trainer.test_zero3 import Finished, run

STEPS = 2
OF_TIME = {
    "eval_runtime",
    "eval_model_preparation_time",
    "eval_samples_per_second",
    "eval_steps_per_second",
    "eval_step_time",
}


@pytest.fixture(scope="module", params=["all of it", "an adapter of a base in 4 bit"])
def evaluated(request: pytest.FixtureRequest, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("evaluated")
    data = write_problems(folder / "train.jsonl")
    keys: dict[str, Any] = {
        "dataset_name": None,
        "dataset_mixture": {"datasets": [{"id": str(data)}], "seed": 3, "test_split_size": 2},
        "do_eval": True,
        "num_generations_eval": 2,
        "per_device_eval_batch_size": 2,
        "vllm_importance_sampling_correction": False,
        "max_steps": STEPS,
    }
    if request.param != "all of it":
        keys |= {"use_peft": True, "lora_r": 4, "lora_target_modules": "all-linear", "learning_rate": 1e-2}
    keys |= {"load_in_4bit": "4 bit" in request.param}
    return run(folder, learner_config(tiny_model, data, every_steps=STEPS, **keys), "zero3")


def lost(evaluated: Finished, folder: Path) -> Finished:
    """Its pods were, while they evaluated the trained model."""
    shutil.copytree(evaluated.folder / "volume", folder / "volume")
    run = Finished(evaluated.config, folder)
    (run.model / EVAL_RESULTS).unlink()
    (run.model / MODEL_CARD).write_text("of the training alone")
    state = json.loads((run.model / "trainer_state.json").read_text())
    state["log_history"] = [entry for entry in state["log_history"] if "eval_reward" not in entry]
    (run.model / "trainer_state.json").write_text(json.dumps(state))
    return run


def results_of(run: Finished) -> dict[str, Any]:
    results: dict[str, Any] = json.loads((run.model / EVAL_RESULTS).read_text())
    return {key: value for key, value in results.items() if key not in OF_TIME}


def check_made_up(made_up: Finished, evaluated: Finished) -> None:
    log = (made_up.folder / "learner.log").read_text()
    assert "the trained model is saved, and is still to be evaluated\n" in log
    assert "training begins" not in log
    assert f"step {STEPS}/{STEPS}  evaluation: reward " in log
    assert results_of(made_up) == results_of(evaluated)
    assert {"eval_loss", "eval_entropy", "eval_kl", "eval_reward"} <= results_of(made_up).keys()
    assert results_of(made_up)["eval_kl"] > 1e-3  # against the model that the training began with
    assert [entry["step"] for entry in made_up.history() if "eval_reward" in entry] == [STEPS]
    assert made_up.steps() == evaluated.steps()
    assert f"After step {STEPS}:\n\n| | mean of the evaluation |" in (made_up.model / MODEL_CARD).read_text()


def test_the_next_attempt_evaluates_the_saved_model(evaluated: Finished, tmp_path: Path) -> None:
    made_up = lost(evaluated, tmp_path)
    weights = {name: of for name, of in contents(made_up.model).items() if name.endswith(".safetensors")}
    run(tmp_path, made_up.config, "zero3")
    check_made_up(made_up, evaluated)
    assert contents(made_up.model).items() >= weights.items()


def test_so_it_does_when_the_model_was_not_in_place_yet(evaluated: Finished, tmp_path: Path) -> None:
    made_up = lost(evaluated, tmp_path)
    shutil.rmtree(made_up.model)
    checkpoint = made_up.run_folder / "checkpoints" / f"checkpoint-{STEPS}"
    before = contents(checkpoint)
    run(tmp_path, made_up.config, "zero3")
    check_made_up(made_up, evaluated)
    assert contents(checkpoint) == before
