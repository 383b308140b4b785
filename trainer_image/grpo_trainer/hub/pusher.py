"""What learner 0 does about the hub: one push after the other, in a thread, beside the training.

A checkpoint that waits or is being pushed stays on the volume. Nothing that goes wrong here reaches the training.
"""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from grpo_contract.config import RunConfig
from grpo_contract.metrics import PushOutcome
from grpo_trainer.hub.job import NO_TIME_LEFT, PushJob, PushResult
from grpo_trainer.hub.plan import LAST_CHECKPOINT, Push, files_of, push_of_model, pushes_of_checkpoint, with_push
from grpo_trainer.hub.settings import HubSettings
from grpo_trainer.instruments.metrics import LearnerMetrics
from grpo_trainer.storage.checkpoint_files import MODEL_CARD
from grpo_trainer.storage.model_card import card_of

RETRY_FOR_S: Final = 300.0
"""After training, from the first try to push the model to the last."""
RETRY_EVERY_S: Final = 15.0
SHARE_OF_COLLECTIVE: Final = 2 / 3
"""After training, for all that is still to be pushed: the other ranks wait for rank 0 in a collective, which ends a run in
which it does not come."""
SHARE_OF_CHECKPOINTS: Final = 1 / 2
"""Of that: the rest is the trained model's, which is worth more than a checkpoint, and smaller."""
STOPPED_WITHIN_S: Final = 10.0
LOOK_EVERY_S: Final = 0.5

log = logging.getLogger(__name__)


class Sender(Protocol):
    def __call__(self, job: PushJob) -> PushResult: ...
    def end_current(self) -> None:
        """Make the call that is running return."""

    def stop(self) -> None:
        """Make the call that is running, and those to come, return."""


class HubPusher:
    def __init__(
        self,
        settings: HubSettings,
        config: RunConfig,
        metrics: LearnerMetrics,
        sender: Sender,
        *,
        pushed: Callable[[str], None],
    ) -> None:
        """`pushed` is told the address of each commit."""
        self.settings = settings
        self.config = config
        self.metrics = metrics
        self.sender = sender
        self.pushed = pushed
        self._waiting: list[Push] = []
        self._current: Push | None = None
        self._changed = threading.Condition()
        self._has_trained = False
        self._is_over = threading.Event()
        threading.Thread(target=self._work, daemon=True, name="hub").start()

    def checkpoint_saved(self, folder: Path, step: int) -> None:
        for push in pushes_of_checkpoint(self.settings, folder, step):
            self._enqueue(push)

    def needs(self, folder: Path) -> bool:
        with self._changed:
            return any(push.folder == folder for push in (*self._waiting, self._current) if push is not None)

    def finish(self, model: Path) -> None:
        """Push what still waits and then the trained model; returns when that is done or cannot be, within a time."""
        self._has_trained = True
        push = push_of_model(self.settings, model)
        if push is not None:
            self._enqueue(push)
        limit_s = self.config.deadlines.collective_s * SHARE_OF_COLLECTIVE
        ends_at = time.monotonic() + limit_s
        if self._comes_about(self._is_idle, 0):
            return
        log.info("hub: pushing what is left to %s, for %.0f s at most", self.settings.repository, limit_s)
        if push is not None and not self._comes_about(self._is_models_turn, limit_s * SHARE_OF_CHECKPOINTS):
            self._give_up_checkpoints(ends_at)
        if not self._comes_about(self._is_idle, ends_at - time.monotonic()):
            self._give_up()

    def _comes_about(self, state: Callable[[], bool], within_s: float) -> bool:
        with self._changed:
            return self._changed.wait_for(state, within_s)

    def _is_idle(self) -> bool:
        return not self._waiting and self._current is None

    def _is_models_turn(self) -> bool:
        return all(push.is_final for push in (*self._waiting, self._current) if push is not None)

    def _give_up_checkpoints(self, ends_at: float) -> None:
        with self._changed:
            late = [push for push in self._waiting if not push.is_final]
            self._waiting = [push for push in self._waiting if push.is_final]
            while not self._is_models_turn() and time.monotonic() < ends_at:
                self.sender.end_current()  # again, for it may not have begun yet
                self._changed.wait(LOOK_EVERY_S)
        for push in late:
            self._failed(push, NO_TIME_LEFT.message)

    def _give_up(self) -> None:
        with self._changed:
            late, self._waiting = self._waiting, []
        for push in late:
            self._failed(push, NO_TIME_LEFT.message)
        self._is_over.set()
        self.sender.stop()
        self._comes_about(self._is_idle, STOPPED_WITHIN_S)

    def _enqueue(self, push: Push) -> None:
        with self._changed:
            self._waiting, passed_over = with_push(self._waiting, push)
            self._changed.notify_all()
        for other in passed_over:
            self._count(PushOutcome.SKIPPED)
            log.info("hub: %s is not pushed to %s: newer ones wait", other.what, other.branch)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                self._current = self._waiting.pop(0)
            try:
                self._push(self._current)
            except Exception:
                log.exception("hub: %s was not pushed", self._current.what)
                self._count(PushOutcome.FAILED)
            with self._changed:
                self._current = None
                self._changed.notify_all()

    def _push(self, push: Push) -> None:
        result = self._send(push)
        if result.url is not None:
            self._count(PushOutcome.PUSHED)
            self.pushed(result.url)
            log.info("hub: %s is pushed to %s: %s", push.what, push.branch, result.url)
            return
        self._failed(push, result.message)

    def _failed(self, push: Push, why: str) -> None:
        self._count(PushOutcome.FAILED)
        repository = self.settings.repository
        if push.is_final:
            words = "hub: %s was not pushed to %s: %s. It is in %s on the volume; push it from there."
            log.error(words, push.what, repository, why, push.folder)
        else:
            rest = f"It is in {push.folder} on the volume." if self._has_trained else "Training goes on."
            words = "hub: %s was not pushed to %s, branch %s: %s. %s"
            log.warning(words, push.what, repository, push.branch, why, rest)

    def _send(self, push: Push) -> PushResult:
        """The trained model is tried again for a while; of checkpoints there will be newer ones."""
        give_up = time.monotonic() + RETRY_FOR_S
        while True:
            result = self.sender(self._job(push))
            if result.url is not None or result.is_refused or not push.is_final:
                return result
            if time.monotonic() + RETRY_EVERY_S > give_up or self._is_over.wait(RETRY_EVERY_S):
                return result
            log.warning("hub: %s was not pushed yet, trying again: %s", push.what, result.message)

    def _job(self, push: Push) -> PushJob:
        files = files_of(push)
        return PushJob(
            repository=self.settings.repository,
            is_private=self.settings.is_private,
            branch=push.branch,
            message=push.message,
            run=f"GRPORun {self.config.name}, uid {self.config.uid}",
            is_guarded=push.is_guarded,
            files=files,
            card=None if MODEL_CARD in files else card_of(push.folder, self.config),
            replaced_folder=push.checkpoint_to if push.checkpoint_to == LAST_CHECKPOINT else None,
        )

    def _count(self, outcome: PushOutcome) -> None:
        self.metrics.add("grpo_hub_pushes_total", 1, outcome.value)
