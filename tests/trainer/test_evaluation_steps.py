"""The steps at which a run of two ZeRO-3 ranks evaluates."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from grpo_contract.config import RunConfig
from grpo_contract.recipe.comparison import OF_A_CLOCK
from grpo_contract.recipe.figures import figures_of
from trainer.learner_inputs import learner_config, write_problems
from trainer.test_zero3 import STEPS, Finished, evaluations_of, run


def evaluating(model: Path, folder: Path, recipe: dict[str, Any]) -> RunConfig:
    """12 rows to train on, 4 a step: the 8 steps end in the third epoch. 3 rows to evaluate on."""
    data = write_problems(folder / "train.jsonl", count=15)
    return learner_config(
        model,
        data,
        max_steps=STEPS,
        every_steps=4,
        dataset_name=None,
        dataset_mixture={"datasets": [{"id": str(data)}], "test_split_size": 3},
        per_device_eval_batch_size=2,
        num_generations_eval=2,
        vllm_importance_sampling_correction=False,  # for the script's log-probabilities are no model's
        **recipe,
    )


TRLS = {"loss_type": "dapo", "entropy_coef": 0.0, "use_adaptive_entropy": False}
OF_EXPERTS = "aux_loss"


def figures_in(evaluation: Mapping[str, Any]) -> set[str]:
    """And the one that a model with experts would have."""
    names = {key.removeprefix("eval_") for key in evaluation if key.startswith("eval_")}
    return names - {*OF_A_CLOCK} | {OF_EXPERTS}


@pytest.mark.parametrize(
    ("recipe", "steps"),
    [
        ({"eval_strategy": "epoch", "eval_delay": 1.5, "metric_for_best_model": "compared with nothing"}, [6, 8]),
        ({"eval_strategy": "epoch", "eval_delay": 3}, [8]),  # of the trained model
        (
            {
                "eval_strategy": "steps",
                "eval_steps": 3,
                "eval_delay": 4,
                "loss_type": "cispo",
                "beta": 0.0,
                "entropy_coef": 0.01,
            },
            [6, 8],
        ),
    ],
    ids=["epoch-delayed", "epoch-too-late", "steps-delayed"],
)
def test_a_run_evaluates_at_the_steps_that_its_recipe_asks_for(
    recipe: dict[str, Any], steps: list[int], tiny_model: Path, tmp_path: Path
) -> None:
    config = evaluating(tiny_model, tmp_path, recipe)
    finished = run(tmp_path, config, "zero3")
    evaluations = evaluations_of(finished)
    assert [entry["step"] for entry in evaluations] == steps
    assert frozenset(name for entry in evaluations for name in figures_in(entry)) == figures_of(TRLS | config.recipe)
    results = json.loads((finished.model / "eval_results.json").read_text())
    assert (results["eval_samples"], round(results["epoch"], 3)) == (3, 2.667)


PLATEAU = {
    "eval_strategy": "steps",
    "eval_steps": 1,
    "lr_scheduler_type": "reduce_lr_on_plateau",
    "lr_scheduler_kwargs": {"mode": "max", "patience": 1},
    "metric_for_best_model": "eval_reward",
}


def test_a_learning_rate_that_follows_evaluations_also_when_resumed(tiny_model: Path, tmp_path: Path) -> None:
    """The script's rewards are the same at each evaluation: a tenth of the rate after every second one without progress."""

    def learning_rates(finished: Finished) -> list[float]:
        return [entry["learning_rate"] for entry in finished.steps()]

    config = evaluating(tiny_model, tmp_path, PLATEAU)
    whole = run(tmp_path, config, "zero3")
    assert learning_rates(whole) == pytest.approx([1e-3] * 3 + [1e-4] * 2 + [1e-5] * 2 + [1e-6], rel=1e-9)

    resumed = tmp_path / "resumed"
    shutil.copytree(tmp_path / "volume", resumed / "volume")
    (run_folder,) = (resumed / "volume" / "runs").iterdir()
    shutil.rmtree(run_folder / "model")
    shutil.rmtree(run_folder / "checkpoints" / "checkpoint-8")
    assert learning_rates(run(resumed, config, "zero3")) == learning_rates(whole)
    assert "resuming from the checkpoint of step 4" in (resumed / "learner.log").read_text()
