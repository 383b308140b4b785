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
from grpo_trainer.checkpoint_files import MODEL_CARD
from grpo_trainer.hub.job import PushJob, PushResult
from grpo_trainer.hub.plan import LAST_CHECKPOINT, Push, files_of, push_of_model, pushes_of_checkpoint, with_push
from grpo_trainer.hub.settings import HubSettings
from grpo_trainer.metrics import LearnerMetrics
from grpo_trainer.model_card import card_of

RETRY_FOR_S: Final = 300.0
"""After training, from the first try to push the model to the last."""
RETRY_EVERY_S: Final = 15.0
SHARE_OF_COLLECTIVE: Final = 2 / 3
"""After training, for all that is still to be pushed: the other ranks wait for rank 0 in a collective, which ends a run in
which it does not come."""
STOPPED_WITHIN_S: Final = 10.0

log = logging.getLogger(__name__)


class Sender(Protocol):
    def __call__(self, job: PushJob) -> PushResult: ...
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
        self._is_over = threading.Event()
        threading.Thread(target=self._work, daemon=True, name="hub").start()

    def checkpoint_saved(self, folder: Path, step: int) -> None:
        for push in pushes_of_checkpoint(self.settings, folder, step):
            self._enqueue(push)

    def needs(self, folder: Path) -> bool:
        with self._changed:
            return any(push.folder == folder for push in (*self._waiting, self._current) if push is not None)

    def finish(self, model: Path) -> None:
        """Push the trained model after what still waits; returns when that is done or cannot be, within a time."""
        if push := push_of_model(self.settings, model):
            self._enqueue(push)
        deadline_s = self.config.deadlines.collective_s * SHARE_OF_COLLECTIVE
        with self._changed:
            if self._is_idle():
                return
            log.info("hub: pushing what is left to %s, for %.0f s at most", self.settings.repository, deadline_s)
            if self._changed.wait_for(self._is_idle, deadline_s):
                return
            unpushed, self._waiting = self._waiting, []
        for push in unpushed:
            self._count(PushOutcome.FAILED)
            log.error("hub: %s was not pushed: there was no time left", push.what)
        self._is_over.set()
        self.sender.stop()
        with self._changed:
            self._changed.wait_for(self._is_idle, STOPPED_WITHIN_S)

    def _is_idle(self) -> bool:
        return not self._waiting and self._current is None

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
        self._count(PushOutcome.FAILED)
        if push.is_final:
            log.error(
                "hub: %s was not pushed to %s: %s. It is in %s on the volume; push it from there.",
                push.what,
                self.settings.repository,
                result.message,
                push.folder,
            )
        else:
            log.warning(
                "hub: %s was not pushed to %s, branch %s: %s. Training goes on.",
                push.what,
                self.settings.repository,
                push.branch,
                result.message,
            )

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
