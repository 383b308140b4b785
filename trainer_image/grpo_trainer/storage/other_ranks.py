"""A checkpoint that another number of ranks has saved.

DeepSpeed saves each rank's part, and only as many ranks can load them. Of these parts it makes a universal checkpoint, of whole
parameters with their optimizer's states, of which any number of ranks take their parts. It lies beside them while it is needed.
"""

import contextlib
import io
import shutil
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import torch
from accelerate import PartialState
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from grpo_contract.failure import PodReason, RunFailure
from grpo_contract.pod import pod_name
from grpo_trainer.decisions import decided_by_rank_0
from grpo_trainer.storage.checkpoint_files import LATEST, LATEST_UNIVERSAL
from grpo_trainer.storage.checkpoints import LOOK_EVERY_S, VISIBLE_WITHIN_S, remove_set_aside
from grpo_trainer.waiting import wait_until

LOADS_UNIVERSAL: Final = {"checkpoint": {"load_universal": True}}
"""Of DeepSpeed's configuration, for a training that begins with one."""


def saved_ranks(checkpoint: Path) -> int:
    """A collective."""
    return decided_by_rank_0(lambda: _saved_ranks(checkpoint))


def _saved_ranks(checkpoint: Path) -> int:
    return len(list(_states(checkpoint).glob("*_optim_states.pt")))


def make_universal(checkpoint: Path) -> None:
    """A collective.

    Raises:
        RunFailure: DeepSpeed cannot do it with the states of this optimizer. The run can go on with the ranks that it had.
    """

    def made_by_rank_0() -> None:
        from deepspeed.checkpoint import ds_to_universal  # which few attempts need

        remove_universal(checkpoint)
        remove_set_aside(checkpoint.parent)  # its room may be needed
        states = _states(checkpoint)
        arguments = Namespace(
            input_folder=str(states),
            output_folder=str(_universal(checkpoint)),
            num_extract_workers=1,
            num_merge_workers=1,
            keep_temp_folder=False,
            strict=False,
            inject_missing_state=False,
        )
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            try:
                ds_to_universal.main(arguments)
            except KeyError as error:
                raise RunFailure(
                    PodReason.LEARNER_ERROR,
                    f"spec.learners.replicas: states of the optimizer cannot be divided among other ranks (they have no {error}); "
                    f"suspend the run, and set it so that there are {_saved_ranks(checkpoint)} learner processes.",
                ) from error

    decided_by_rank_0(made_by_rank_0)
    unseen = RunFailure(
        PodReason.CHECKPOINT_TIMEOUT,
        f"{checkpoint / LATEST_UNIVERSAL} is there for learner 0, but {pod_name()} does not see it: look whether both nodes "
        "mount the same volume.",
    )
    wait_until((checkpoint / LATEST_UNIVERSAL).exists, VISIBLE_WITHIN_S, LOOK_EVERY_S, lambda: unseen)


def remove_universal(checkpoint: Path) -> None:
    (checkpoint / LATEST_UNIVERSAL).unlink(missing_ok=True)
    shutil.rmtree(_universal(checkpoint), ignore_errors=True)


@contextlib.contextmanager
def loadable(checkpoint: Path, engine: Any) -> Iterator[None]:
    """By this number of ranks, while DeepSpeed's engine loads it again. A collective."""
    if saved_ranks(checkpoint) == PartialState().num_processes:
        yield
        return
    make_universal(checkpoint)
    engine._config.load_universal_checkpoint = True
    yield
    _forget(checkpoint, engine)


class ForgetUniversal(TrainerCallback):  # type: ignore[misc]
    """As soon as all ranks have loaded it: what they save from then on is their own."""

    def __init__(self, learner: Any, checkpoint: Path) -> None:
        self._learner = learner
        self._checkpoint = checkpoint

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        _forget(self._checkpoint, self._learner.deepspeed)


def _forget(checkpoint: Path, engine: Any) -> None:
    engine._config.load_universal_checkpoint = False
    _tell_groups_apart(engine.optimizer.optimizer, _universal(checkpoint) / "zero" / "optimizer_state.pt")
    PartialState().wait_for_everyone()
    if PartialState().is_main_process:
        remove_universal(checkpoint)


def _tell_groups_apart(optimizer: Any, states: Path) -> None:
    """DeepSpeed gives all groups of parameters what the first one has: its weight decay, and its very count of steps, which each
    of them would then count up."""
    saved_groups = torch.load(states, map_location="cpu", mmap=True, weights_only=False)["param_groups"]
    for group, saved in zip(optimizer.param_groups, saved_groups, strict=True):
        group.update({name: value for name, value in saved.items() if name != "params"})
    for state in optimizer.state.values():
        if torch.is_tensor(state.get("step")):
            state["step"] = state["step"].clone()


def _states(checkpoint: Path) -> Path:
    return checkpoint / (checkpoint / LATEST).read_text().strip()


def _universal(checkpoint: Path) -> Path:
    states = _states(checkpoint)
    return states.with_name(f"{states.name}_universal")
