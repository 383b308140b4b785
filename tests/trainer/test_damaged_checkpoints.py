"""Two ranks whose newest checkpoint is damaged go on from the one before, digit for digit."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from grpo_contract.config import RunConfig
from trainer.learner_inputs import learner_config, write_problems
from trainer.test_zero3 import Finished, numbers, run, without_model

STEPS = 6
OF_RANK = "global_step{step}/zero_pp_rank_{rank}_mp_rank_00_optim_states.pt"


@pytest.fixture(scope="module")
def undisturbed(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """It has checkpoints of steps 2, 4 and 6."""
    data = write_problems(tmp_path_factory.mktemp("data") / "train.jsonl")
    config: RunConfig = learner_config(tiny_model, data, max_steps=STEPS, vllm_importance_sampling_correction=False)
    return run(tmp_path_factory.mktemp("undisturbed"), config, "zero3")


def turn_a_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(("rank", "whole"), [(0, (2,)), (1, (2,)), (1, ())])
def test_all_ranks_go_on_from_the_newest_whole_one(
    rank: int, whole: tuple[int, ...], undisturbed: Finished, tmp_path: Path
) -> None:
    lost = without_model(undisturbed, tmp_path)
    checkpoints = lost.run_folder / "checkpoints"
    shutil.rmtree(checkpoints / "checkpoint-6")
    for step in {2, 4}.difference(whole):
        turn_a_bit(checkpoints / f"checkpoint-{step}" / OF_RANK.format(step=step, rank=rank))

    finished = run(tmp_path, undisturbed.config, "zero3")
    log = (tmp_path / "learner.log").read_text()
    problem = f"the content of {OF_RANK.format(step=4, rank=rank)} is not what was written"
    start = "the run goes on from step 2" if whole else "the run begins anew, for no checkpoint is whole"
    assert log.count(f"checkpoint-4 is not as it was written ({problem})") == 1
    assert start in log
    assert ("resuming from the checkpoint of step 2" in log) is bool(whole)
    assert numbers(finished) == numbers(undisturbed)
    assert (finished.model / "model.safetensors").read_bytes() == (undisturbed.model / "model.safetensors").read_bytes()
    left = sorted(path.name for path in checkpoints.glob("*checkpoint-*"))
    set_aside = ["damaged-checkpoint-4"] if whole else ["damaged-checkpoint-2", "damaged-checkpoint-4"]
    assert left == ["checkpoint-2", "checkpoint-4", "checkpoint-6", *set_aside]
    progress: Any = json.loads((tmp_path / "progress.json").read_text())
    # Nobody has asked for it, to hear of the newer ones.
    assert progress["checkpointHealth"]["trouble"] == "CheckpointDamaged"
