"""What a learner is in the middle of when a checkpoint is saved, and TRL and transformers forget: completions that are learnt
from several times, or in several steps, what is logged only every few steps, and how many completions of the last steps have
lost their reward.

Each rank has its own. It is of as many ranks, and of the run itself: who starts from another's checkpoint, or has other ranks,
generates anew and logs what it has made itself.
"""

from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from grpo_trainer.storage.checkpoint_files import midway_file

MEANS = ("_tr_loss", "_total_loss_scalar", "_globalstep_last_logged")
"""Of a trainer, sums that it logs the mean of, and since when."""


def save_midway(learner: Any, checkpoint: Path) -> None:
    content = {
        "world_size": learner.args.world_size,
        "means": {name: getattr(learner, name) for name in MEANS},
        "metrics": dict(learner._metrics["train"]),
        "completions": learner._buffered_inputs if learner.is_within_generation_batch else None,
        "told_completions": {name: _plain(column) for name, column in learner._logs.items()},
        "rewards": learner.watch.state(),
    }
    torch.save(content, checkpoint / midway_file(learner.args.process_index))


class TakeUpMidway(TrainerCallback):  # type: ignore[misc]
    """As soon as transformers has set to zero what it counts."""

    def __init__(self, learner: Any, checkpoint: Path) -> None:
        self._learner = learner
        self._file = checkpoint / midway_file(learner.args.process_index)

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        learner = self._learner
        if not self._file.exists():
            return
        content = torch.load(self._file, map_location=args.device, weights_only=False)
        if content["world_size"] != args.world_size:
            return
        for name, value in content["means"].items():
            setattr(learner, name, value)
        learner._metrics["train"].update(content["metrics"])
        learner._buffered_inputs = content["completions"]
        for name, column in content["told_completions"].items():
            _fill(learner._logs[name], column)
        learner.watch.restore(content["rewards"])


def _plain(column: Any) -> Any:
    """TRL's columns make what they lack by functions that cannot be saved."""
    return {name: list(values) for name, values in column.items()} if isinstance(column, dict) else list(column)


def _fill(column: Any, plain: Any) -> None:
    if isinstance(plain, dict):
        for name, values in plain.items():
            column[name].extend(values)
    else:
        column.extend(plain)
