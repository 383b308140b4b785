"""What rank 0 tells the trackers of each step: what TRL logs, and the completions where the recipe wants them logged."""

from collections.abc import Mapping
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from grpo_trainer.learner import Learner
from grpo_trainer.trackers.process import TrackerProcess
from grpo_trainer.trackers.records import Record


class TrackerReport(TrainerCallback):  # type: ignore[misc]
    def __init__(self, learner: Learner, trackers: TrackerProcess) -> None:
        self.learner = learner
        self.trackers = trackers

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: Mapping[str, Any], **_: Any
    ) -> None:
        try:
            self._tell(state.global_step, logs)
        except Exception as error:  # what rewards log is theirs, and no tracker ends a run
            self.trackers.fail(error)

    def _tell(self, step: int, logs: Mapping[str, Any]) -> None:
        completions = self._completions() if "reward" in logs else None  # the last log sums the run up
        values = {key: value for key, value in logs.items() if isinstance(value, int | float | str | None)}
        self.trackers.tell(Record(step=step, values=values, completions=completions))

    def _completions(self) -> dict[str, list[Any]] | None:
        """The columns of the table that TRL gives its trackers."""
        logged = self.learner._logs
        if not self.learner.log_completions or not logged["prompt"]:
            return None
        table = {
            "step": [self.learner.state.global_step] * len(logged["prompt"]),
            "prompt": list(logged["prompt"]),
            "completion": list(logged["completion"]),
            **{name: list(scores) for name, scores in (logged["rewards"] | logged["extra"]).items()},
            "advantage": list(logged["advantages"]),
        }
        return unique_prompts(table) if self.learner.log_unique_prompts else table


def unique_prompts(table: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """The first row of each prompt."""
    first = {str(prompt): row for row, prompt in reversed(list(enumerate(table["prompt"])))}
    rows = sorted(first.values())
    return {name: [cells[row] for row in rows] for name, cells in table.items()}
