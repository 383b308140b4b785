"""A checkpoint that cannot be written costs neither the older ones nor the run, whichever rank has the trouble."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from grpo_contract.config import CheckpointConfig, RunConfig
from grpo_trainer.storage.checkpoint_files import MARKER
from trainer.learner_inputs import learner_config, write_problems
from trainer.learner_pod import WITH_TESTS, LearnerPod
from trainer.ranks import TWO_RANKS
from trainer.test_zero3 import Finished, numbers, run

HINDERED = Path(__file__).with_name("hindered_learner.py")
STEPS = 8
RUN_S = 300


@pytest.fixture(scope="module")
def config(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    data = write_problems(tmp_path_factory.mktemp("data") / "train.jsonl")
    config = learner_config(tiny_model, data, max_steps=STEPS, vllm_importance_sampling_correction=False)
    return config.model_copy(update={"checkpoint": CheckpointConfig(every_steps=2, keep=1)})


@pytest.fixture(scope="module")
def undisturbed(config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return run(tmp_path_factory.mktemp("undisturbed"), config, "zero3")


@pytest.fixture
def small_volume(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own."""
    folder = tmp_path / "volume"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def hindered_run(folder: Path, config: RunConfig, how: str, rank: int) -> Finished:
    pod = LearnerPod(
        folder,
        config,
        program=[*TWO_RANKS, str(HINDERED)],
        arguments=["zero3", str(folder), how, str(rank)],
        env={"PYTHONPATH": WITH_TESTS},
    )
    try:
        assert pod.wait(RUN_S) == 0, pod.tail()
    finally:
        pod.kill()
    return Finished(config, folder)


@pytest.mark.parametrize(
    ("how", "rank", "words"),
    [
        ("volume", 0, "VolumeFull"),
        ("files", 0, "CheckpointNotWritten"),
        ("files", 1, "CheckpointNotWritten"),
    ],
)
def test_the_run_goes_on_without_it(
    how: str, rank: int, words: str, config: RunConfig, undisturbed: Finished, small_volume: Path, tmp_path: Path
) -> None:
    finished = hindered_run(tmp_path, config, how, rank)
    log = (tmp_path / "learner.log").read_text()
    (said,) = re.findall(r"ERROR (The checkpoint of step .*)", log)
    assert re.fullmatch(
        r"The checkpoint of step 4 was not written \(.+\); that of step 2 stays, and the run goes on\. Another is tried at step 6\. "
        r"(The volume is full: enlarge its claim .*|Look at the server or the disk of the run's volume\.)",
        said,
    )
    assert ("The volume is full" in said) is (words == "VolumeFull")
    assert "Traceback" not in log
    assert "what stays: ['checkpoint-2']\n" in log
    assert re.findall(r"step (\d+): checkpoint saved", log) == ["2", "6", "8"]
    assert numbers(finished) == numbers(undisturbed)
    (checkpoint,) = (finished.run_folder / "checkpoints").glob("*checkpoint-*")
    assert checkpoint.name == "checkpoint-8"
    assert (checkpoint / MARKER).exists()
    progress: Any = json.loads((tmp_path / "progress.json").read_text())
    assert progress["checkpoint"]["step"] == 8
    assert progress["checkpointHealth"] == {}
