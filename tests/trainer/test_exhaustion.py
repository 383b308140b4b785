"""GPU memory and room on the volume, when there is no more of it."""

import errno
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from grpo_contract.config import RunConfig
from grpo_contract.failure import USER_ERROR_EXIT_CODE, PodReason, RunFailure, UserError
from grpo_trainer import exhaustion
from grpo_trainer.end_request import AskedToEnd
from grpo_trainer.exhaustion import OwnSteps, gpu_memory_named, volume_named
from grpo_trainer.storage import volume_errors
from grpo_trainer.storage.marker import Marker, write_marker
from trainer.exhausted_learner import STATISTICS, WORDS
from trainer.learner_inputs import learner_config, write_problems
from trainer.learner_pod import ONE_RANK, WITH_TESTS, LearnerPod

PROGRAM = [str(Path(__file__).with_name("exhausted_learner.py"))]
ENVIRONMENT = ONE_RANK | {"PYTHONPATH": WITH_TESTS}
RUN_S = 240
GPU_SENTENCE = (
    "spec.recipe.per_device_train_batch_size is 8, with completions of up to 32 tokens (max_completion_length), and the "
    f"GPU of learner process 0 has too little memory for that ({WORDS.rstrip('.')}); lower it and raise "
    "gradient_accumulation_steps (1) by as much, lower max_completion_length, set gradient_checkpointing: true, or raise "
    "spec.learners.replicas or gpus, over which the model is split."
)
VOLUME_SENTENCE = (
    "spec.storage: the run's volume, of {size} GiB, is full ({words}); enlarge its claim where the storage class allows "
    "it, remove what other runs have left on it, or start another run with a larger storage.size, or with a "
    "checkpoint.keep below 4."
)


@pytest.fixture
def config(tiny_model: Path, tmp_path: Path) -> RunConfig:
    data = write_problems(tmp_path / "train.jsonl")
    return learner_config(
        tiny_model, data, processes=1, every_steps=1, reward_funcs=["tag_count"],
        vllm_importance_sampling_correction=False,
    )  # fmt: skip


def end_of(folder: Path, config: RunConfig, *arguments: str) -> tuple[int, dict[str, str], str]:
    """Exit code, last words and log of a learner."""
    pod = LearnerPod(folder, config, program=PROGRAM, arguments=arguments, env=ENVIRONMENT)
    try:
        code = pod.wait(RUN_S)
    finally:
        pod.kill()
    words = pod.termination_file.read_text()
    assert words, pod.tail()
    return code, json.loads(words), pod.log.read_text()


@pytest.mark.parametrize(("num_steps", "exit_code"), [(0, USER_ERROR_EXIT_CODE), (1, 1)])
def test_a_gpu_without_memory_is_the_users_mistake_before_the_first_step(
    num_steps: int, exit_code: int, config: RunConfig, tmp_path: Path
) -> None:
    code, failure, log = end_of(tmp_path, config, str(num_steps))
    assert failure == {"reason": "GpuOutOfMemory", "message": GPU_SENTENCE}
    assert code == exit_code
    assert STATISTICS.strip() in log  # where it was raised, and all of its words


def test_a_resumed_attempt_without_a_step_of_its_own_is_not_repeated(config: RunConfig, tmp_path: Path) -> None:
    assert [end_of(tmp_path, config, "2")[0] for _ in range(2)] == [1, USER_ERROR_EXIT_CODE]


def arguments(**changes: Any) -> Any:
    values = {
        "per_device_train_batch_size": 8, "max_completion_length": 32, "process_index": 0,
        "gradient_accumulation_steps": 1, "gradient_checkpointing": False,
    }  # fmt: skip
    return type("Arguments", (), values | changes)


def test_what_is_on_already_is_no_remedy() -> None:
    with pytest.raises(UserError) as caught, gpu_memory_named(arguments(gradient_checkpointing=True), OwnSteps()):
        raise torch.OutOfMemoryError(WORDS)
    assert str(caught.value) == GPU_SENTENCE.replace("set gradient_checkpointing: true, ", "")


def test_other_errors_of_cuda_are_not_about_memory() -> None:
    with pytest.raises(RuntimeError, match="device-side assert"), gpu_memory_named(arguments(), OwnSteps()):
        raise RuntimeError("CUDA error: device-side assert triggered")


@pytest.fixture
def small_volume(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB, where a pod of `tmp_path` has its volume."""
    folder = tmp_path / "volume"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)  # torch's writer has not let go of its file


def test_a_volume_that_holds_no_checkpoint_is_the_users_mistake(
    config: RunConfig, small_volume: Path, tmp_path: Path
) -> None:
    code, failure, log = end_of(tmp_path, config)
    assert failure["reason"] == "VolumeFull"
    sentence = VOLUME_SENTENCE.format(size="0.000977", words="WORDS")
    assert re.fullmatch(re.escape(sentence).replace("WORDS", ".+"), failure["message"])
    assert code == USER_ERROR_EXIT_CODE
    assert "Traceback" in log


@pytest.fixture
def on_volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that the code here takes for the volume."""
    folder = tmp_path / "volume"
    folder.mkdir(exist_ok=True)
    monkeypatch.setattr(exhaustion, "VOLUME", folder)
    monkeypatch.setattr(volume_errors, "VOLUME", folder)
    monkeypatch.setattr(exhaustion, "checkpoint_folder", lambda name, uid: folder / "checkpoints")
    return folder


def test_with_a_checkpoint_to_lose_another_attempt_is_made(config: RunConfig, on_volume: Path) -> None:
    checkpoint = on_volume / "checkpoints" / "checkpoint-4"
    checkpoint.mkdir(parents=True)
    write_marker(
        checkpoint, Marker(step=4, max_steps=9, time="2026-01-01T00:00:00Z", for_recovery=True, for_recipe=False)
    )
    with pytest.raises(RunFailure) as caught, volume_named(config):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert not isinstance(caught.value, UserError)
    size = f"{shutil.disk_usage(on_volume).total / 2**30:.3g}"
    words = "[Errno 28] No space left on device"
    assert json.loads(caught.value.failure.to_json()) == {
        "reason": "VolumeFull",
        "message": VOLUME_SENTENCE.format(size=size, words=words),
    }


def test_a_pod_that_is_asked_to_end_fails_no_run_by_what_it_saves(config: RunConfig, on_volume: Path) -> None:
    """It would not have written at all."""
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    full.__context__ = AskedToEnd("before a step")
    with pytest.raises(RunFailure) as caught, volume_named(config):
        raise full
    assert not isinstance(caught.value, UserError)
    assert caught.value.failure.reason == "VolumeFull"


def test_what_is_kept_for_benchmarks_may_be_removed(config: RunConfig, on_volume: Path) -> None:
    benchmarked = config.model_copy(update={"keeps_models": True})
    with pytest.raises(UserError) as caught, volume_named(benchmarked):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert (
        "remove what other runs have left on it, or what this run keeps for its benchmarks in "
        f"/volume/runs/{config.name}-{config.uid[:8]}/benchmarks, or start another run" in str(caught.value)
    )


def save_with_torch(file: Path) -> None:
    torch.save(torch.zeros(1 << 20), file)


def save_as_safetensors(file: Path) -> None:
    save_file({"weights": torch.zeros(1 << 20)}, file)


def save_text(file: Path) -> None:
    file.write_text("x" * (4 << 20))


@pytest.mark.parametrize("save", [save_with_torch, save_as_safetensors, save_text])
def test_each_way_to_write_is_understood(
    save: Callable[[Path], None], config: RunConfig, small_volume: Path, on_volume: Path
) -> None:
    assert small_volume == on_volume
    with pytest.raises(UserError) as caught, volume_named(config):
        save(on_volume / "file")
    assert caught.value.failure.reason == "VolumeFull"


NOT_FULL: dict[str, Callable[[], BaseException]] = {
    "a failing disk": lambda: OSError(errno.EIO, "Input/output error"),
    "a full disk that is no volume": lambda: OSError(errno.ENOSPC, "No space left on device", "/scratch/file"),
    "torch, with room on the volume": lambda: RuntimeError(
        "[enforce fail at inline_container.cc:664] . unexpected pos"
    ),
    "what has a name already": lambda: RunFailure(PodReason.LEARNER_ERROR, "No space left on device"),
}


@pytest.mark.parametrize("what", NOT_FULL)
def test_other_trouble_keeps_its_words(what: str, config: RunConfig, on_volume: Path) -> None:
    error = NOT_FULL[what]()
    with pytest.raises(type(error)) as caught, volume_named(config):
        raise error
    assert caught.value is error
