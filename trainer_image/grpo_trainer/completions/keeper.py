"""The thread that writes batches to the volume. Training hands them over and goes on; what the volume does not take is lost."""

import logging
import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final

from grpo_trainer.completions.archive import Archive
from grpo_trainer.completions.batch import Batch, sampled_groups
from grpo_trainer.completions.table import build_table
from grpo_trainer.storage import fence

WAITING: Final = 4
"""Batches that may wait for a volume that is slow: each holds the texts of a step in the learner's memory."""
FINISH_S: Final = 30.0
"""For what is still to be written when training is over. Other ranks wait for rank 0 meanwhile."""
FINISH_WHEN_FAILED_S: Final = 3.0
"""The same where training has failed, or the pod is asked to end: others end it soon, and it has still to say why."""

log = logging.getLogger(__name__)


class CompletionsKeeper:
    """A context: what was handed over before its end is written, within FINISH_S or FINISH_WHEN_FAILED_S."""

    def __init__(
        self, archive: Archive, run_folder: Path, most_groups: int | None, lost: Callable[[int], None]
    ) -> None:
        """`lost` is told how many completions were not written. In any thread."""
        self._archive = archive
        self._run_folder = run_folder
        self._most_groups = most_groups
        self._lost = lost
        self._waiting: queue.Queue[Batch | None] = queue.Queue(WAITING)
        self._said: set[object] = set()
        self._thread = threading.Thread(target=self._write_all, daemon=True, name="completions")
        self._thread.start()

    def __enter__(self) -> "CompletionsKeeper":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        finish_s = FINISH_S if error is None else FINISH_WHEN_FAILED_S
        deadline = time.monotonic() + finish_s
        try:
            self._waiting.put(None, timeout=finish_s)
        except queue.Full:
            pass
        else:
            self._thread.join(max(0.0, deadline - time.monotonic()))
        if self._thread.is_alive():
            self._say_once("end", f"the volume has not taken the last ones within {finish_s:.0f} s")

    def keep(self, batch: Batch) -> None:
        try:
            self._waiting.put_nowait(batch)
        except queue.Full:
            self._lose(batch, "slow", "the volume takes them more slowly than they are learnt from")

    def _write_all(self) -> None:
        while (batch := self._waiting.get()) is not None:
            try:
                fence.check(self._run_folder)
                self._archive.write(batch.step, build_table(batch, self._most_groups))
            except Exception as error:  # nobody waits for this thread, and no run ends for it
                self._lose(batch, type(error), f"{type(error).__name__}: {error}")
                continue
            try:
                self._archive.merge_before(batch.step)
            except Exception as error:
                self._say_once("merge", f"files are not merged, {type(error).__name__}: {error}")

    def _lose(self, batch: Batch, kind: object, why: str) -> None:
        self._lost(len(sampled_groups(batch, self._most_groups)) * batch.num_generations)
        self._say_once(kind, why)

    def _say_once(self, kind: object, why: str) -> None:
        """Of each kind: words may name the file of a step."""
        if kind not in self._said:
            self._said.add(kind)
            log.warning("completions are not kept for reading as they should: %s. Training goes on (said once)", why)
