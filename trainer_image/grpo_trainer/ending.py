"""What ranks do when a pod of the attempt is asked to end: they save the last finished step, and end together.

Before each step they tell each other whether they were asked. A wait for completions may be longer than the pod has time, so
that one is broken off where the step has done nothing else yet (`fleet/generation.py`).
"""

import math
import time
from typing import Any, Final

from accelerate import PartialState
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from grpo_trainer.decisions import is_so_on_any_rank
from grpo_trainer.end_request import AskedToEnd, EndRequest
from grpo_trainer.random_state import RandomState
from grpo_trainer.storage.keeper import CheckpointKeeper

SLOWER: Final = 2.0
SLOWER_S: Final = 5.0
"""A step that takes so many times as long as the longest one of the attempt, and so many seconds more, will not end: another
rank is gone, or hangs. Nobody waits for it. Not the last one: it may only have learnt from what another has generated."""

THIS_ONE: Final = "The learner pod was asked to end: it was deleted, or its node is drained."
ANOTHER: Final = "Another learner pod was asked to end, and this one ends with it."


class Ending(TrainerCallback):  # type: ignore[misc]
    """On every rank. Until a first step is finished there is nothing to save, and the pod just ends."""

    def __init__(self, request: EndRequest, keeper: CheckpointKeeper) -> None:
        self._request = request
        self._keeper = keeper
        self._after_step: RandomState | None = None
        """As a checkpoint at the end of the last step has it: reading the next rows may draw numbers."""
        self._began_s = 0.0
        self._heeded_within_s = 0.0
        self.is_between_steps = False
        """All that was computed since the last step's end is what generators were asked for."""

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._began_s = time.monotonic()
        if self._after_step is None:
            return
        if is_so_on_any_rank(self._request.is_made()):
            raise AskedToEnd("before a step")
        self._request.heed(self._heeded_within_s)
        self.is_between_steps = True

    def on_substep_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.is_between_steps = False

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.is_between_steps = False
        self._after_step = RandomState()
        taken_s = time.monotonic() - self._began_s
        self._heeded_within_s = max(self._heeded_within_s, SLOWER * taken_s + SLOWER_S)
        self._request.heed(self._heeded_within_s)

    def saves(self) -> None:
        """Until the next step."""
        self._request.heed(math.inf)

    def save_step(self, learner: Any) -> AskedToEnd:
        """The last finished one, unless it is saved. A collective, of ranks that have left the training loop. Returns what
        they end with."""
        step = learner.state.global_step
        # Before a pod ends: the others of its Job are asked to end then.
        follows = not self._request.is_made()
        if self._keeper.newest is None or self._keeper.newest.marker.step != step:
            assert self._after_step is not None
            PartialState().wait_for_everyone()  # a save is waited for, and one rank that is gone would hold it up for ever
            self._after_step.restore()
            self._keeper.for_recovery = True
            learner._save_checkpoint(learner.model, trial=None)
            learner.callback_handler.on_save(learner.args, learner.state, learner.control)
        PartialState().wait_for_everyone()  # a rank that ends takes the others of its pod along: rank 0 marks last
        saved = f"Step {step} is saved, and the next attempt goes on from there"
        outcome = saved if self._keeper.trouble is None else self._keeper.loss(step)
        return AskedToEnd(f"{ANOTHER if follows else THIS_ONE} {outcome}.", follows=follows)
