"""What of a starting checkpoint is known only when the model is loaded, and when its states are."""

import contextlib
import traceback
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState

from grpo_contract.failure import QUOTED_CHARACTERS, RunFailure
from grpo_trainer.causes import chain, first_line, is_of_the_system
from grpo_trainer.storage.checkpoint_files import LATEST
from grpo_trainer.storage.starting_checkpoint import nothing_left, other_model, unsuitable

LOADERS: Final = frozenset({"deepspeed_load_checkpoint", "_load_optimizer_and_scheduler", "_load_rng_state"})
"""Functions of transformers. What goes wrong in them is about the checkpoint, unless the system says otherwise."""

Shapes = Mapping[str, tuple[int, ...]]


def check_shapes(model: Any, name: str, rank: int, folder: Path) -> None:
    """DeepSpeed copies each rank's part as one long row of numbers: another model's would fit where it is as long.

    Raises:
        UserError: parameters that are trained are not those of the checkpoint.
    """
    own, its = trained_shapes(model), saved_shapes(folder, rank)
    for parameter in sorted(own.keys() | its.keys()):
        if own.get(parameter) != its.get(parameter):
            raise other_model(str(folder), name, described(parameter, its), described(parameter, own))


def trained_shapes(model: Any) -> Shapes:
    trained = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    return {name: tuple(getattr(parameter, "ds_shape", parameter.shape)) for name, parameter in trained}


def saved_shapes(folder: Path, rank: int) -> Shapes:
    """Of the rank's part, whose tensors stay on the volume meanwhile."""
    states = folder / (folder / LATEST).read_text().strip()
    file = states / f"zero_pp_rank_{rank}_mp_rank_00_model_states.pt"
    with loading_named(folder):
        groups = torch.load(file, map_location="cpu", mmap=True, weights_only=False)["param_shapes"]
        return {name: tuple(shape) for group in groups for name, shape in group.items()}


def described(parameter: str, shapes: Shapes) -> str:
    if parameter not in shapes:
        return f"trains no {parameter}"
    return f"has {parameter} of {' x '.join(map(str, shapes[parameter]))}"


@contextlib.contextmanager
def loading_named(folder: Path) -> Iterator[None]:
    """
    Raises:
        UserError: instead of what a library says of a file that is damaged, or of something that it does not expect.
    """
    try:
        yield
    except RunFailure:
        raise
    except Exception as error:
        if is_of_the_system(error) or any(isinstance(cause, torch.OutOfMemoryError) for cause in chain(error)):
            raise
        words = f"{type(error).__name__}: {first_line(error)}"[:QUOTED_CHARACTERS]
        raise unsuitable(folder, f"cannot be loaded ({words})") from error


@contextlib.contextmanager
def resuming_named(folder: Path | None) -> Iterator[None]:
    """Around a training that starts from there, or from the model if it is None.

    Raises:
        UserError: as `loading_named`, of errors while the checkpoint is loaded.
    """
    try:
        yield
    except Exception as error:
        if folder is None or LOADERS.isdisjoint(functions_of(error)):
            raise
        with loading_named(folder):
            raise


def functions_of(error: BaseException) -> set[str]:
    """Those that the error went through."""
    return {frame.f_code.co_name for frame, _ in traceback.walk_tb(error.__traceback__)}


def forget_comparisons(state: TrainerState, stateful: Iterable[Any]) -> None:
    """The best evaluation of another training, and how long none was better, say nothing of this one's. `stateful`: what may
    have a state in this one, the trainer's control included, which transformers looks for at each checkpoint."""
    state.best_metric = state.best_global_step = state.best_model_checkpoint = None
    own = [part for part in stateful if isinstance(part, ExportableState)]
    state.stateful_callbacks = {type(part).__name__: part.state() for part in own}


class StepsLeft(TrainerCallback):  # type: ignore[misc]
    """Without max_steps, the data say how many steps there are."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """
        Raises:
            UserError: the checkpoint is of the last step or later.
        """
        if state.global_step >= state.max_steps:
            raise nothing_left(str(self.folder), state.global_step, state.max_steps, "num_train_epochs")
