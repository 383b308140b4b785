"""What rank 0 tells of its start, once: when the first step is done."""

import logging
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from grpo_contract.metrics import StartupPart
from grpo_trainer.instruments.metrics import LearnerMetrics
from grpo_trainer.instruments.startup import StartupClock, described, now

log = logging.getLogger(__name__)


class StartupReport(TrainerCallback):  # type: ignore[misc]
    def __init__(self, clock: StartupClock, metrics: LearnerMetrics) -> None:
        self.clock = clock
        self.metrics = metrics

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self.clock.is_over:
            return
        self.clock.end(StartupPart.FIRST_STEP, now())
        for part, seconds in self.clock.seconds.items():
            self.metrics.set("grpo_startup_seconds", seconds, part.value)
        log.info("%s", described(self.clock.seconds))
