"""What a run takes more of than there is, GPU memory and room on its volume: told in one sentence with the remedy.

Where another attempt would find the same, it is the user's mistake. GPU memory depends on how long completions are: an
attempt that has made steps may have met an unusual batch, one without a step would meet the same again. A volume can be
made larger while a run goes on: that is worth another attempt once there is a checkpoint to lose.
"""

import contextlib
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from grpo_contract.config import RunConfig
from grpo_contract.failure import QUOTED_CHARACTERS, PodReason, RunFailure, UserError
from grpo_contract.files import VOLUME, benchmarks_folder, checkpoint_folder
from grpo_trainer.causes import chain, first_line
from grpo_trainer.end_request import AskedToEnd
from grpo_trainer.light_trl import GRPOConfig
from grpo_trainer.storage.checkpoints import newest_checkpoint
from grpo_trainer.storage.volume_errors import is_of_full_volume

GIB: Final = 2**30
ALLOCATOR_STATISTICS: Final = " Of the allocated memory "
"""What comes from here on in CUDA's words is for who knows PyTorch's allocator; it is in the log."""

log = logging.getLogger(__name__)


class OwnSteps(TrainerCallback):  # type: ignore[misc]
    """How many optimizer steps this attempt has made, or the ones before it where it makes none."""

    def __init__(self, count: int = 0) -> None:
        self.count = count

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.count += 1


@contextlib.contextmanager
def gpu_memory_named(arguments: GRPOConfig, own_steps: OwnSteps) -> Iterator[None]:
    """
    Raises:
        UserError: CUDA ran out of memory before this attempt had made a step.
        RunFailure: it did so later.
    """
    try:
        yield
    except Exception as error:
        cause = next((cause for cause in chain(error) if isinstance(cause, torch.OutOfMemoryError)), None)
        if cause is None:
            raise
        log.exception("a GPU is out of memory")
        kind = RunFailure if own_steps.count else UserError
        raise kind(PodReason.GPU_OUT_OF_MEMORY, _gpu_sentence(arguments, first_line(cause))) from error


def _gpu_sentence(arguments: GRPOConfig, words: str) -> str:
    checkpointing = "" if arguments.gradient_checkpointing else "set gradient_checkpointing: true, "
    quoted = words.partition(ALLOCATOR_STATISTICS)[0].rstrip(".")[:QUOTED_CHARACTERS]
    return (
        f"spec.recipe.per_device_train_batch_size is {arguments.per_device_train_batch_size}, with completions of up to "
        f"{arguments.max_completion_length} tokens (max_completion_length), and the GPU of learner process "
        f"{arguments.process_index} has too little memory for that ({quoted}); lower it and raise "
        f"gradient_accumulation_steps ({arguments.gradient_accumulation_steps}) by as much, lower max_completion_length, "
        f"{checkpointing}or raise spec.learners.replicas or gpus, over which the model is split."
    )


@contextlib.contextmanager
def volume_named(config: RunConfig) -> Iterator[None]:
    """
    Raises:
        UserError: the run's volume is full, and the run has no checkpoint yet.
        RunFailure: the run's volume is full; it has a checkpoint, or wrote its first one only because a pod is asked to end.
    """
    try:
        yield
    except RunFailure:
        raise
    except Exception as error:
        cause = next((cause for cause in chain(error) if is_of_full_volume(cause)), None)
        if cause is None:
            raise
        log.exception("the volume is full")
        has_checkpoint = newest_checkpoint(Path(checkpoint_folder(config.name, config.uid))) is not None
        was_asked_to_end = any(isinstance(cause, AskedToEnd) for cause in chain(error))
        kind = RunFailure if has_checkpoint or was_asked_to_end else UserError
        raise kind(PodReason.VOLUME_FULL, _volume_sentence(config, first_line(cause))) from error


def _volume_sentence(config: RunConfig, words: str) -> str:
    keep = config.checkpoint.keep
    folder = benchmarks_folder(config.name, config.uid)
    kept = f", or what this run keeps for its benchmarks in {folder}" if config.keeps_models else ""
    fewer = f", or with a checkpoint.keep below {keep}" if keep > 1 else ""
    return (
        f"spec.storage: the run's volume, of {shutil.disk_usage(VOLUME).total / GIB:.3g} GiB, is full "
        f"({words[:QUOTED_CHARACTERS]}); enlarge its claim where the storage class allows it, remove what other runs have "
        f"left on it{kept}, or start another run with a larger storage.size{fewer}."
    )
