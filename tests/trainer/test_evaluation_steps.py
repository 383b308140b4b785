"""The steps at which a run of two ZeRO-3 ranks evaluates."""

import json
from pathlib import Path
from typing import Any

import pytest

from trainer.learner_inputs import learner_config, write_problems
from trainer.test_zero3 import STEPS, evaluations_of, run


@pytest.mark.parametrize(
    ("recipe", "steps"),
    [
        ({"eval_strategy": "epoch"}, [3, 6, 8]),
        ({"eval_strategy": "epoch", "eval_delay": 1.5}, [6, 8]),
        ({"eval_strategy": "epoch", "eval_delay": 3}, [8]),  # of the trained model
        ({"eval_strategy": "steps", "eval_steps": 3, "eval_delay": 4}, [6, 8]),
    ],
    ids=["epoch", "epoch-delayed", "epoch-too-late", "steps-delayed"],
)
def test_a_run_evaluates_at_the_steps_that_its_recipe_asks_for(
    recipe: dict[str, Any], steps: list[int], tiny_model: Path, tmp_path: Path
) -> None:
    """12 rows to train on, 4 a step: the 8 steps end in the third epoch. 3 rows to evaluate on."""
    data = write_problems(tmp_path / "train.jsonl", count=15)
    config = learner_config(
        tiny_model,
        data,
        max_steps=STEPS,
        every_steps=100,
        dataset_name=None,
        dataset_mixture={"datasets": [{"id": str(data)}], "test_split_size": 3},
        per_device_eval_batch_size=2,
        num_generations_eval=2,
        vllm_importance_sampling_correction=False,  # for the script's log-probabilities are no model's
        **recipe,
    )
    finished = run(tmp_path, config, "zero3")
    assert [entry["step"] for entry in evaluations_of(finished)] == steps
    results = json.loads((finished.model / "eval_results.json").read_text())
    assert (results["eval_samples"], round(results["epoch"], 3)) == (3, 2.667)
