"""Checkpoints to recover from are written: one every spec.checkpoint.everySteps, of which the newest spec.checkpoint.keep stay.

A new attempt resumes from the newest one that counts and removes what an old attempt left half done. The recipe's own save_*
keys go on to work beside this: one folder may be wanted by both, and it goes when nobody wants it any more.
"""

import errno
import logging
from collections import ChainMap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from accelerate import PartialState
from accelerate.utils import gather_object
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import IntervalStrategy, SaveStrategy

from grpo_contract.config import CheckpointConfig
from grpo_contract.progress import CheckpointHealth, CheckpointTrouble
from grpo_trainer.decisions import decided_by_rank_0
from grpo_trainer.evaluating.ended_early import ended_early
from grpo_trainer.instruments.main_thread import MAIN_THREAD, Step
from grpo_trainer.instruments.progress import time_now
from grpo_trainer.storage import fence
from grpo_trainer.storage.checkpoints import (
    Checkpoint,
    complete_checkpoints,
    discard,
    folder_of,
    remember_newest,
    remove,
    remove_set_aside,
    superseded,
)
from grpo_trainer.storage.checksums import FileSum, Sums
from grpo_trainer.storage.flushing import flush
from grpo_trainer.storage.marker import Marker, write_marker
from grpo_trainer.storage.verification import own_sums
from grpo_trainer.storage.writing import CheckpointWriting, WriteTrouble

REMEDIES: Final = {
    True: "The volume is full: enlarge its claim where the storage class allows it, or remove what other runs have left on it.",
    False: "Look at the server or the disk of the run's volume.",
}
"""By whether the volume is full."""

log = logging.getLogger(__name__)


def is_end_of_epoch(state: TrainerState, control: TrainerControl) -> bool:
    """The step is the last one before transformers ends an epoch."""
    return control.should_training_stop or float(state.epoch).is_integer()


@dataclass(frozen=True)
class Best:
    """What a trainer's state says of the best evaluation."""

    metric: float | None = None
    step: int | None = None
    folder: str | None = None

    @classmethod
    def of(cls, state: TrainerState) -> "Best":
        return cls(state.best_metric, state.best_global_step, state.best_model_checkpoint)

    def restore(self, state: TrainerState) -> int | None:
        """Returns its step."""
        state.best_metric, state.best_global_step, state.best_model_checkpoint = self.metric, self.step, self.folder
        return self.step


class CheckpointUser(Protocol):
    """Somebody who wants the recipe's checkpoints, and has them a while longer than the run itself."""

    def checkpoint_saved(self, folder: Path, step: int) -> None: ...
    def needs(self, folder: Path) -> bool: ...


class CheckpointKeeper(TrainerCallback):  # type: ignore[misc]
    """Asks the Trainer for checkpoints, marks them, and removes those that are superseded. Rank 0's ends an attempt that a
    later one has taken over from: before it gives weights to generators, and before a checkpoint counts.

    Runs on every rank: decisions depend on the step and on `newest`, the checkpoint that all ranks resume from, so that
    all decide alike.
    """

    def __init__(
        self,
        config: CheckpointConfig,
        folder: Path,
        save_total_limit: int | None,
        newest: Checkpoint | None,
        users: Sequence[CheckpointUser] = (),
    ) -> None:
        """`users` are rank 0's."""
        self.config = config
        self.folder = folder
        self.save_total_limit = save_total_limit
        self.for_recovery = False
        self.for_recipe = False
        self.newest = newest
        self.best_step = None if newest is None else newest.marker.best_step
        self.users = users
        self.writing = CheckpointWriting()
        self.trouble: WriteTrouble | None = None
        """Why the last checkpoint was not written; the same on all ranks."""
        self._best_saved = Best()

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.name_best(args, state)
        self._best_saved = Best.of(state)

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if PartialState().is_main_process:
            fence.check(self.folder.parent)

    def require_newest_attempt(self) -> None:
        """Before a checkpoint is written, of which a later attempt may have a whole one. A collective.

        Raises:
            RunFailure: a later attempt has taken over.
        """
        decided_by_rank_0(lambda: fence.check(self.folder.parent))

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.for_recipe = control.should_save
        self.for_recovery = state.global_step % self.config.every_steps == 0
        # What the end of an epoch evaluates belongs to this step: without it, an attempt would go on from here as if there
        # had been none.
        waits = args.eval_strategy == IntervalStrategy.EPOCH and is_end_of_epoch(state, control)
        control.should_save = (self.for_recipe or self.for_recovery) and not waits

    def on_epoch_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.for_recipe = self.for_recipe or control.should_save
        control.should_save = self.for_recipe or self.for_recovery
        if control.should_save and self.newest is not None and self.newest.marker.step == state.global_step:
            control.should_save = False  # this step was saved a moment ago: writing over it could only break it
            self._mark_for_recipe(self.newest)
            self.for_recovery = self.for_recipe = False

    def _mark_for_recipe(self, saved: Checkpoint) -> None:
        with MAIN_THREAD.within(Step.CHECKPOINT):
            if not self._put_marker(saved.folder, saved.marker.model_copy(update={"for_recipe": True})):
                assert self.trouble is not None
                log.warning("%s stays one for recovery alone: %s", saved.folder.name, self.trouble.words)
                self.trouble = None

    def evaluated(self, args: TrainingArguments, state: TrainerState, is_best: bool) -> bool:
        """Whether a checkpoint is to be saved of the step that was evaluated, which transformers decides from the
        evaluation alone with save_strategy best. `is_best`: of all evaluations so far."""
        if args.save_strategy == SaveStrategy.BEST:
            self.for_recipe = is_best
        if ended_early(state.stateful_callbacks) is not None:
            self.for_recovery = True  # or another attempt might train on
        return self.for_recipe or self.for_recovery or (is_best and args.load_best_model_at_end)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.name_best(args, state)
        self.mark(
            Marker(
                step=state.global_step,
                max_steps=state.max_steps,
                time=time_now(),
                for_recovery=self.for_recovery,
                for_recipe=self.for_recipe,
                ended_early=ended_early(state.stateful_callbacks),
                best_step=self.best_step,
            )
        )
        self.for_recovery = self.for_recipe = False
        if self.trouble is None:
            self._best_saved = Best.of(state)
        elif state.best_global_step == state.global_step:
            log.warning("step %d was the best, and is not saved: it is not compared with others", state.global_step)
            self.best_step = self._best_saved.restore(state)

    def health(self, step: int) -> CheckpointHealth:
        """What is to be said of the checkpoint of this step, which was the last to be written."""
        if self.trouble is None:
            return CheckpointHealth()
        every = self.config.every_steps
        return CheckpointHealth(
            trouble=CheckpointTrouble.VOLUME_FULL if self.trouble.is_full else CheckpointTrouble.NOT_WRITTEN,
            message=f"{self.loss(step)}, and the run goes on. Another is tried at step {step // every * every + every}. "
            f"{REMEDIES[self.trouble.is_full]}",
        )

    def loss(self, step: int) -> str:
        """That the checkpoint of this step could not be written, and what stays."""
        assert self.trouble is not None
        stays = "there is none yet" if self.newest is None else f"that of step {self.newest.marker.step} stays"
        return f"The checkpoint of step {step} was not written ({self.trouble.words}); {stays}"

    def name_best(self, args: TrainingArguments, state: TrainerState) -> None:
        """transformers asks each rank's file system for the folder, where it may not have appeared yet."""
        if args.load_best_model_at_end and state.best_global_step is not None:
            self.best_step = state.best_global_step
            state.best_model_checkpoint = str(folder_of(self.folder, state.best_global_step))

    def mark(self, marker: Marker) -> None:
        """A collective: every rank's part is on the volume before the marker is."""
        with MAIN_THREAD.within(Step.CHECKPOINT):
            self._mark(marker)

    def _mark(self, marker: Marker) -> None:
        folder = folder_of(self.folder, marker.step)
        sums = self._flush(folder)
        if sums is not None and self._put_marker(folder, marker.model_copy(update={"files": sums})):
            self.trouble = None
        else:
            self._give_up(folder)

    def _flush(self, folder: Path) -> dict[str, FileSum] | None:
        """Returns the checksums of all files; None when a rank could not write. A collective."""
        ranks = PartialState()
        ranks.wait_for_everyone()  # one flushes what all ranks of its node wrote
        sums: Sums = {}
        if not self._has_trouble():
            with self.writing.whole():
                sums = own_sums(folder)
                if ranks.is_local_main_process:
                    flush(folder)
        ranks.wait_for_everyone()
        return None if self._has_trouble() else dict(ChainMap(*gather_object([dict(sums)])))

    def _has_trouble(self) -> bool:
        """Any rank. A collective."""
        troubles = gather_object([self.writing.trouble])
        self.trouble = next(filter(None, troubles), None)
        return self.trouble is not None

    def _put_marker(self, folder: Path, marker: Marker) -> bool:
        """Whether the checkpoint counts as that. A collective."""
        if PartialState().is_main_process:
            fence.check(self.folder.parent)
            with self.writing.whole():
                write_marker(folder, marker)
        if self._has_trouble():
            return False
        self.newest = Checkpoint(folder, marker)
        if PartialState().is_main_process:
            for user in self.users if marker.for_recipe else ():
                user.checkpoint_saved(folder, marker.step)
            remember_newest(self.folder, marker.step)
            self.remove_superseded()
        PartialState().wait_for_everyone()  # here, where it may take as long as files take
        return True

    def _give_up(self, folder: Path) -> None:
        """What is half written goes, and what older ones there are stay. A collective.

        Raises:
            OSError: the volume is full, and there is no older one, and none that was damaged: it holds not even one.
        """
        assert self.trouble is not None
        is_full = self.trouble.is_full

        def has_made_room() -> bool:
            fence.check(self.folder.parent)
            discard(folder)
            return is_full and remove_set_aside(self.folder)

        if not decided_by_rank_0(has_made_room) and is_full and self.newest is None:
            raise OSError(errno.ENOSPC, self.trouble.words)

    def remove_superseded(self) -> None:
        try:
            complete = complete_checkpoints(self.folder)
        except OSError as error:
            log.warning("older checkpoints stay, the volume does not tell what they are: %s", error)
            return
        for old in superseded(complete, self.config.keep, self.save_total_limit, self.best_step):
            if not any(user.needs(old.folder) for user in self.users):
                remove(old)
