"""What Python's garbage collector need not look at again.

It goes through all objects when enough new ones have come, in every third or fourth step, and holds the interpreter
meanwhile: 0.3 s for what torch, transformers and DeepSpeed have made by then. Each rank comes to it at another moment, and
all wait for it.
"""

import gc
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class SettledObjects(TrainerCallback):  # type: ignore[misc]
    """Those that are there after the first step stay: they are taken out of the collector's sight."""

    def __init__(self) -> None:
        self._are_settled = False

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if not self._are_settled:
            gc.collect()
            gc.freeze()
            self._are_settled = True
