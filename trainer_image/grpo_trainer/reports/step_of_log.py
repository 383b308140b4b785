"""Tells the log, on each rank, which step is being made."""

from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from grpo_trainer.instruments.logs import STEP


class TellStep(TrainerCallback):  # type: ignore[misc]
    """It stays until the next one begins: what an evaluation or a checkpoint says is of the step before it."""

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        STEP.number = state.global_step or None

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        STEP.number = state.global_step + 1
