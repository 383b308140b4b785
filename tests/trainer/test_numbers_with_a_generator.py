"""A run on a real generator that was killed and resumed logs what one logs that was not, digit for digit: two ranks, ZeRO-3 and
vLLM on a CPU in float32.
"""

import hashlib
from pathlib import Path
from typing import Any

import datasets
import pytest

from grpo_contract.config import CheckpointConfig, RunConfig, SamplingConfig
from harness.waiting import wait_for
from trainer.finished_run import RUN_S, Finished
from trainer.learner_inputs import OWN_REWARD, learner_config, write_own_reward, write_problems
from trainer.run_with_generator import run_with_generator
from trainer.running_generator import RunningGenerator

STEPS = 6
KILLED_S = 300
TIMES = {"step_time", "eval_runtime", "eval_samples_per_second", "eval_steps_per_second"}


@pytest.fixture(scope="module")
def config(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    """A group whose rewards are all equal is replaced: completions are short, so that there are some. Two evaluations."""
    folder = tmp_path_factory.mktemp("data")
    files = {split: str(write_problems(folder / f"{split}.jsonl")) for split in ("train", "test")}
    datasets.load_dataset("json", data_files=files, cache_dir=str(folder / "cache")).save_to_disk(folder / "data")
    config = learner_config(
        tiny_model,
        folder / "data",
        max_steps=STEPS,
        learning_rate=1e-3,
        max_completion_length=2,
        reward_funcs=[OWN_REWARD],
        eval_strategy="steps",
        eval_steps=3,
        num_generations_eval=2,
        per_device_eval_batch_size=4,
    )
    return config.model_copy(
        update={
            "checkpoint": CheckpointConfig(every_steps=2, keep=4),
            "sampling": SamplingConfig(dynamic=True, max_rounds=2),
        }
    )


@pytest.fixture(scope="module")
def uninterrupted(generator: RunningGenerator, config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("uninterrupted")
    write_own_reward(folder)
    with run_with_generator(generator, folder, config) as pod:
        assert pod.wait(RUN_S) == 0, pod.tail()
        return Finished(pod.volume)


@pytest.fixture(scope="module")
def resumed(generator: RunningGenerator, config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Whenever it is killed: `kill -9` of all processes of its pod."""
    folder = tmp_path_factory.mktemp("resumed")
    write_own_reward(folder)
    with run_with_generator(generator, folder, config) as pod:

        def has_made_three_steps() -> bool:
            assert pod.process.poll() is None, pod.tail()
            return f"step 3/{STEPS}" in pod.log.read_text()

        wait_for("it has made three steps", has_made_three_steps, KILLED_S, interval_s=0.05)
        pod.kill()
    with run_with_generator(generator, folder, config) as pod:
        assert pod.wait(RUN_S) == 0, pod.tail()
        assert "resuming from the checkpoint of step" in pod.log.read_text()
        return Finished(pod.volume)


def numbers(run: Finished, key: str) -> list[dict[str, Any]]:
    return [{name: value for name, value in entry.items() if name not in TIMES} for entry in run.history(key)]


def test_steps_log_the_same_numbers(uninterrupted: Finished, resumed: Finished) -> None:
    expected = numbers(uninterrupted, "reward")
    assert numbers(resumed, "reward") == expected
    assert [entry["step"] for entry in expected] == list(range(1, STEPS + 1))
    assert len({entry["loss"] for entry in expected}) == STEPS
    assert sum(entry["dynamic_sampling/replaced"] for entry in expected) > 0
    assert max(entry["sampling/sampling_logp_difference/max"] for entry in expected) > 0  # vLLM's own digits are in it


def test_evaluations_log_the_same_numbers(uninterrupted: Finished, resumed: Finished) -> None:
    expected = numbers(uninterrupted, "eval_reward")
    assert numbers(resumed, "eval_reward") == expected
    assert [entry["step"] for entry in expected] == [3, 6]


def test_the_models_are_the_same(uninterrupted: Finished, resumed: Finished) -> None:
    first, second = (
        hashlib.sha256((run.folder / "model" / "model.safetensors").read_bytes()).hexdigest()
        for run in (uninterrupted, resumed)
    )
    assert first == second
