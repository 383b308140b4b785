"""Early stopping: training ends when evaluations get no better any more, counted as transformers counts.

The count, and why training has ended, lie in the trainer's state on every rank, and so in each checkpoint: an attempt that
goes on from one counts on, and one that finds the end in it trains no further.
"""

from collections.abc import Mapping
from typing import Any

from transformers import EarlyStoppingCallback, TrainerControl, TrainerState, TrainingArguments

from grpo_contract.recipe.callbacks import EARLY_STOPPING
from grpo_trainer.evaluating.comparison import comparable, compared_key
from grpo_trainer.evaluating.ended_early import CALLBACK
from grpo_trainer.recipe import OpenR1Arguments

Logs = Mapping[str, Any]


class EarlyStopping(EarlyStoppingCallback):  # type: ignore[misc]
    """Takes no part in an evaluation after training: whoever makes one removes it first."""

    def __init__(self, early_stopping_patience: int = 1, early_stopping_threshold: float = 0.0) -> None:
        super().__init__(early_stopping_patience, early_stopping_threshold)
        self.ended_early: str | None = None

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Not transformers': what that asserts has been checked."""
        for name, value in state.stateful_callbacks[CALLBACK]["attributes"].items():
            setattr(self, name, value)

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, metrics: Logs, **_: Any
    ) -> None:
        value = comparable(metrics.get(compared_key(args.metric_for_best_model)))
        if value is not None:
            self.check_metric_value(args, state, control, value)
        has_steps_left = state.global_step < state.max_steps
        if has_steps_left and self.early_stopping_patience_counter >= self.early_stopping_patience:
            self.ended_early = self.reason(args, state)
            control.should_training_stop = True
        state.stateful_callbacks[CALLBACK] = self.state()

    def reason(self, args: TrainingArguments, state: TrainerState) -> str:
        count = self.early_stopping_patience_counter
        evaluations = "the last evaluation" if count == 1 else f"{count} evaluations in a row"
        change = "rise above" if args.greater_is_better else "fall below"
        threshold = f" by more than {self.early_stopping_threshold:g}" if self.early_stopping_threshold else ""
        best = f", {state.best_metric:.4g}," if state.best_metric is not None else ""
        return f"{compared_key(args.metric_for_best_model)} did not {change} its best{best}{threshold} in {evaluations}"

    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = super().state()
        state["attributes"]["ended_early"] = self.ended_early
        return state


def early_stopping_of(script: OpenR1Arguments) -> list[EarlyStopping]:
    """As callbacks of a trainer."""
    if EARLY_STOPPING not in (script.callbacks or []):
        return []
    return [EarlyStopping(script.early_stopping_patience, script.early_stopping_threshold)]
