"""The thread that writes batches to the volume. Training hands them over and goes on; what the volume does not take is lost."""

import logging
import queue
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Final

from grpo_trainer.completions.archive import Archive
from grpo_trainer.completions.batch import Batch
from grpo_trainer.completions.table import build_table

WAITING: Final = 4
"""Batches that may wait for a volume that is slow: each holds the texts of a step in the learner's memory."""
FINISH_S: Final = 30.0
"""For what is still to be written when training is over, or has failed. The pod's other ranks wait for rank 0."""

log = logging.getLogger(__name__)


class CompletionsKeeper:
    """A context: what was handed over before its end is written, within FINISH_S."""

    def __init__(self, archive: Archive, most_groups: int | None, lost: Callable[[int], None]) -> None:
        """`lost` is told how many completions were not written. In any thread."""
        self._archive = archive
        self._most_groups = most_groups
        self._lost = lost
        self._waiting: queue.Queue[Batch | None] = queue.Queue(WAITING)
        self._said: set[str] = set()
        self._thread = threading.Thread(target=self._write_all, daemon=True, name="completions")
        self._thread.start()

    def __enter__(self) -> "CompletionsKeeper":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._waiting.put(None, timeout=FINISH_S)
        except queue.Full:
            self._say_once(f"the volume takes longer than {FINISH_S:.0f} s for the last ones")
            return
        self._thread.join(FINISH_S)

    def keep(self, batch: Batch) -> None:
        try:
            self._waiting.put_nowait(batch)
        except queue.Full:
            self._lose(batch, "the volume takes them more slowly than they are learnt from")

    def _write_all(self) -> None:
        while (batch := self._waiting.get()) is not None:
            try:
                self._archive.write(batch.step, build_table(batch, self._most_groups))
            except Exception as error:  # nobody waits for this thread, and no run ends for it
                self._lose(batch, f"{type(error).__name__}: {error}")

    def _lose(self, batch: Batch, why: str) -> None:
        self._lost(len(batch.completions))
        self._say_once(why)

    def _say_once(self, why: str) -> None:
        if why not in self._said:
            self._said.add(why)
            log.warning("completions are not kept for reading: %s. Training goes on (said once)", why)
