"""Each step is evaluated once, also by attempts that begin where it was."""

from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from grpo_contract.recipe.comparison import PREFIX


class OnceAStep(TrainerCallback):  # type: ignore[misc]
    """An attempt that goes on from the last step of a stream's reading finds its end anew, and with it what follows from that.
    Where the checkpoint tells of its evaluation, another one would count for early stopping and schedules."""

    def on_epoch_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if any(entry["step"] == state.global_step and is_evaluation(entry) for entry in state.log_history):
            control.should_evaluate = False


def is_evaluation(entry: dict[str, Any]) -> bool:
    return any(key.startswith(PREFIX) for key in entry)
