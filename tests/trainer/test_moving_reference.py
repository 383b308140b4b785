"""With sync_ref_model the reference policy follows the training, and an attempt that goes on has the one of its checkpoint."""

import shutil
from pathlib import Path

import pytest

from trainer.learner_inputs import learner_config, write_problems
from trainer.test_zero3 import Finished, numbers, run, without_model

STEPS = 6


@pytest.fixture(scope="module")
def undisturbed(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Its reference moves after steps 3 and 6; it has a checkpoint at every second."""
    data = write_problems(tmp_path_factory.mktemp("data") / "train.jsonl")
    config = learner_config(
        tiny_model,
        data,
        max_steps=STEPS,
        beta=0.04,
        sync_ref_model=True,
        ref_model_sync_steps=3,
        vllm_importance_sampling_correction=False,
    )
    return run(tmp_path_factory.mktemp("undisturbed"), config, "zero3")


def test_it_is_where_it_was(undisturbed: Finished, tmp_path: Path) -> None:
    checkpoints = without_model(undisturbed, tmp_path).run_folder / "checkpoints"
    shutil.rmtree(checkpoints / "checkpoint-6")
    resumed = run(tmp_path, undisturbed.config, "zero3")
    assert "resuming from the checkpoint of step 4" in (tmp_path / "learner.log").read_text()
    assert undisturbed.steps()[3]["kl"] < undisturbed.steps()[2]["kl"]  # it has moved
    assert numbers(resumed) == numbers(undisturbed)
