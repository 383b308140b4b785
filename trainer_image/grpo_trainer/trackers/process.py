"""The process that tracks, seen from the learner: it is told, never waited for, and ended when it does not end."""

import contextlib
import logging
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Final

from grpo_trainer.trackers.records import Record, Start

MODULE: Final = "grpo_trainer.trackers.track"
WAITING: Final = 1000
"""Records that may wait for a tracker that is slow, such as one whose server does not answer at the start."""
FINISH_S: Final = 60.0
"""For what is still to be sent when training is over. Other ranks wait for rank 0 meanwhile."""

log = logging.getLogger(__name__)


class TrackerProcess:
    """A context: what was told before its end is sent, within FINISH_S."""

    def __init__(self, start: Start, environment: Mapping[str, str]) -> None:
        self._start = start
        self._records: queue.Queue[Record | None] = queue.Queue()
        self._process = subprocess.Popen(
            [sys.executable, "-m", MODULE], stdin=subprocess.PIPE, text=True, env={**os.environ, **environment}
        )
        self._has_lost = False
        threading.Thread(target=self._write, daemon=True, name="trackers").start()

    def __enter__(self) -> "TrackerProcess":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._records.put(None)
        try:
            self._process.wait(FINISH_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            log.warning(
                "%s: not all was sent within %.0f s. What there is lies in %s on the volume.",
                *(", ".join(self._start.trackers), FINISH_S, self._start.folder),
            )

    def tell(self, record: Record) -> None:
        if self._records.qsize() < WAITING and self._process.poll() is None:
            self._records.put(record)
        elif not self._has_lost:
            self._has_lost = True
            log.warning("%s: behind or ended, steps are lost (said once)", ", ".join(self._start.trackers))

    def _write(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError), self._process.stdin as pipe:
            pipe.write(self._start.model_dump_json() + "\n")
            while (record := self._records.get()) is not None:
                pipe.write(record.model_dump_json() + "\n")
                pipe.flush()
