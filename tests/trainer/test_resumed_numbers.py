"""A run that was killed in the middle of a step goes on from its last checkpoint with the numbers of one that was not, digit for
digit, also when the checkpoint was in the middle of completions and of what is logged: two ranks, ZeRO-3, float32.

Played generators; with a real one: test_numbers_with_a_generator.py.
"""

import hashlib
import json
import shutil
from datetime import datetime
from pathlib import Path

import pytest

from grpo_contract.config import RunConfig
from grpo_trainer.storage.checkpoint_files import MARKER
from harness.moved_clock import moved_clock
from trainer.learner_inputs import learner_config, write_problems
from trainer.learner_pod import WITH_TESTS, LearnerPod
from trainer.ranks import RUN_S, TWO_RANKS
from trainer.test_zero3 import Finished, Logs, run

KILLED = Path(__file__).with_name("killed_learner.py")
STEPS = 8
KILLED_IN = 7
RESUMED_FROM = 6
CLOCKS = {"+0": 0, "-1h": -3600}
"""Of the resumed run, and by how many seconds each is off."""
TIMES = {"step_time", "train_runtime", "train_samples_per_second", "train_steps_per_second"}


@pytest.fixture(scope="module")
def config(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    """Completions are learnt from in four steps: each in a part of them, and then once more. Every fourth step is logged. The
    data's order is another one after three generation batches; the checkpoint is in the second one."""
    data = write_problems(tmp_path_factory.mktemp("data") / "train.jsonl")
    return learner_config(
        tiny_model,
        data,
        every_steps=2,
        max_steps=STEPS,
        per_device_train_batch_size=2,
        gradient_accumulation_steps=2,
        steps_per_generation=4,
        num_iterations=2,
        logging_steps=4,
        log_completions=True,
        learning_rate=3e-3,
        vllm_importance_sampling_correction=False,  # the script's log-probabilities are no model's
    )


@pytest.fixture(scope="module")
def uninterrupted(config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return run(tmp_path_factory.mktemp("uninterrupted"), config, "zero3")


@pytest.fixture(scope="module")
def killed(config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of its pod."""
    folder = tmp_path_factory.mktemp("killed")
    pod = LearnerPod(
        folder,
        config,
        program=[*TWO_RANKS, str(KILLED)],
        arguments=["zero3", str(folder), str(KILLED_IN)],
        env={"PYTHONPATH": WITH_TESTS},
    )
    try:
        assert pod.wait(RUN_S) != 0, pod.tail()
    finally:
        pod.kill()
    assert "SIGKILL" in pod.log.read_text()
    return folder


@pytest.fixture(scope="module", params=CLOCKS)
def resumed(
    config: RunConfig, killed: Path, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Finished:
    """On a node whose clock is as it was, or an hour off: what was saved is from the future, then."""
    folder = tmp_path_factory.mktemp("resumed")
    shutil.copytree(killed / "volume", folder / "volume")
    finished = run(folder, config, "zero3", env=moved_clock(request.param, folder))
    assert seconds_off(finished) == pytest.approx(CLOCKS[request.param], abs=60)
    return finished


def seconds_off(run: Finished) -> float:
    """By the date that it gave its last checkpoint."""
    marker = run.run_folder / "checkpoints" / f"checkpoint-{STEPS}" / MARKER
    told = datetime.fromisoformat(json.loads(marker.read_text())["time"])
    return told.timestamp() - marker.stat().st_mtime


def numbers(run: Finished) -> Logs:
    return [{key: value for key, value in entry.items() if key not in TIMES} for entry in run.history()]


def test_the_numbers_are_those_of_a_run_that_was_not_killed(uninterrupted: Finished, resumed: Finished) -> None:
    assert f"resuming from the checkpoint of step {RESUMED_FROM}" in (resumed.folder / "learner.log").read_text()
    expected = numbers(uninterrupted)
    assert numbers(resumed) == expected
    steps = [entry for entry in expected if "loss" in entry]
    assert max(abs(entry["loss"]) for entry in steps) > 1e-3
    assert [entry["step"] for entry in steps] == [4, 8]
    assert {"reward", "reward_std", "kl", "entropy", "learning_rate", "num_tokens"} <= steps[0].keys()


def test_the_models_are_the_same(uninterrupted: Finished, resumed: Finished) -> None:
    first, second = (hashlib.sha256((run.model / "model.safetensors").read_bytes()) for run in (uninterrupted, resumed))
    assert first.hexdigest() == second.hexdigest()


def test_what_is_told_of_completions_is_the_same(uninterrupted: Finished, resumed: Finished) -> None:
    def told(run: Finished) -> dict[str, bytes]:
        folder = run.run_folder / "checkpoints" / "completions"
        return {file.name: file.read_bytes() for file in folder.glob("*.parquet")}

    assert told(resumed) == told(uninterrupted)
