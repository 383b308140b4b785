"""What was measured since the last log is not lost with the attempt that measured it."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from trainer.learner_inputs import learner_config, write_problems
from trainer.test_zero3 import Finished, numbers, run, without_model

STEPS = 6
RESUMED_FROM = 2


@pytest.fixture(scope="module")
def undisturbed(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """It logs every third step, and has a checkpoint at every second."""
    data = write_problems(tmp_path_factory.mktemp("data") / "train.jsonl")
    config = learner_config(
        tiny_model, data, max_steps=STEPS, logging_steps=3, vllm_importance_sampling_correction=False
    )
    return run(tmp_path_factory.mktemp("undisturbed"), config, "zero3")


@pytest.fixture(scope="module")
def resumed(undisturbed: Finished, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("resumed")
    checkpoints = without_model(undisturbed, folder).run_folder / "checkpoints"
    for step in range(RESUMED_FROM + 1, STEPS + 1):
        shutil.rmtree(checkpoints / f"checkpoint-{step}", ignore_errors=True)
    return run(folder, undisturbed.config, "zero3")


def test_logs_are_means_over_the_same_steps(undisturbed: Finished, resumed: Finished) -> None:
    assert f"resuming from the checkpoint of step {RESUMED_FROM}" in (resumed.folder / "learner.log").read_text()
    assert [entry["step"] for entry in resumed.steps()] == [3, 6]
    assert numbers(resumed) == numbers(undisturbed)


def test_so_is_the_loss_of_all_steps(undisturbed: Finished, resumed: Finished) -> None:
    losses = [
        json.loads((run.model / "train_results.json").read_text())["train_loss"] for run in (undisturbed, resumed)
    ]
    assert losses[0] == losses[1]


@pytest.mark.parametrize("rank", [0, 1])
def test_each_rank_has_its_own(rank: int, undisturbed: Finished) -> None:
    checkpoint = undisturbed.run_folder / "checkpoints" / f"checkpoint-{RESUMED_FROM}"
    midway = torch.load(checkpoint / f"midway_{rank}.pt", weights_only=False)
    assert len(midway["metrics"]["reward"]) == RESUMED_FROM
    assert midway["means"]["_globalstep_last_logged"] == 0
    assert midway["rewards"] == {"shares": [0.0] * RESUMED_FROM, "last_error": None}
