"""Two nodes that see the shared volume differently for a while resume from the same checkpoint."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from grpo_contract.config import RunConfig
from grpo_contract.failure import RunFailure
from grpo_contract.files import VOLUME, checkpoint_folder
from grpo_trainer.storage.checkpoints import wait_until_visible
from grpo_trainer.storage.marker import Marker, write_marker
from harness.waiting import wait_for
from trainer.learner_inputs import learner_config
from trainer.learner_pod import LearnerPod, two_pods

RANK = Path(__file__).with_name("checkpoint_rank.py")
START_S = 120


def write_checkpoint(folder: Path, step: int) -> Marker:
    (folder / f"checkpoint-{step}").mkdir(parents=True)
    written = Marker(step=step, max_steps=9, time="2026-01-01T00:00:00Z", for_recovery=True, for_recipe=False)
    write_marker(folder / f"checkpoint-{step}", written)
    return written


@pytest.fixture
def config(tmp_path: Path) -> RunConfig:
    return learner_config(tmp_path / "model", tmp_path / "train.jsonl")


@pytest.fixture
def nodes(tmp_path: Path, config: RunConfig) -> Iterator[list[LearnerPod]]:
    """Each with a volume of its own that holds the checkpoint of step 4; that of step 6 is on rank 0's only."""
    in_volume = Path(checkpoint_folder(config.name, config.uid)).relative_to(VOLUME)
    for rank in (0, 1):
        write_checkpoint(tmp_path / str(rank) / "volume" / in_volume, 4)
    write_checkpoint(tmp_path / "0" / "volume" / in_volume, 6)
    with two_pods(tmp_path, config, RANK) as pods:
        yield pods


def test_all_ranks_resume_from_what_rank_0_sees(nodes: list[LearnerPod], config: RunConfig) -> None:
    folder = Path(checkpoint_folder(config.name, config.uid))
    first, second = nodes
    wait_for("rank 0's decision", lambda: "resumes from" in first.log.read_text(), START_S)
    wait_for("rank 1", lambda: "looking" in second.log.read_text(), START_S)
    written = folder.relative_to(VOLUME) / "checkpoint-6"
    shutil.copytree(first.volume / written, second.volume / written)  # at last the second node sees it
    for node in nodes:
        assert node.wait(START_S) == 0, node.tail()
        assert re.findall("resumes from (.*)", node.log.read_text()) == [str(folder / "checkpoint-6")]
        assert (
            "in a process group: False" in node.log.read_text()
        )  # else gloo's threads may abort the interpreter's end


def test_a_checkpoint_that_stays_invisible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRPO_POD_NAME", "learner-1")
    with pytest.raises(RunFailure) as caught:
        wait_until_visible(tmp_path / "checkpoint-6", deadline_s=0)
    assert caught.value.failure.reason == "CheckpointTimeout"
    assert str(caught.value) == (
        f"{tmp_path}/checkpoint-6/complete.json is there for learner 0, but learner-1 has not seen it for 0 s: "
        "look whether both nodes mount the same volume."
    )
