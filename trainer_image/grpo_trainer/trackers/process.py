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
from typing import IO, Final

from grpo_trainer.end_request import AskedToEnd
from grpo_trainer.trackers.records import Record, Start

MODULE: Final = "grpo_trainer.trackers.track"
WAITING: Final = 1000
"""Records that may wait for a tracker that is slow, such as one whose server does not answer at the start."""
WAITING_BYTES: Final = 64 << 20
"""While more waits, records come without completions: those of one step may be megabytes, and memory is the learner's."""
FINISH_S: Final = 60.0
"""For what is still to be sent when training is over. Other ranks wait for rank 0 meanwhile."""
FINISH_WHEN_ASKED_S: Final = 5.0
"""The same where the pod was asked to end: its time is short, and it has still to say why it ends."""

log = logging.getLogger(__name__)


class TrackerProcess:
    """A context: what was told before its end is sent, within FINISH_S or FINISH_WHEN_ASKED_S."""

    def __init__(self, start: Start, environment: Mapping[str, str]) -> None:
        self._start = start
        self._lines: queue.Queue[bytes | None] = queue.Queue()
        self._size = threading.Lock()
        self._waiting_bytes = 0
        """Of the lines that are not written, the one that is being written included."""
        self._said: set[str] = set()
        self._process = self._open({**os.environ, **environment})
        """None: it could not be started, and what it is told is lost."""
        if self._process is not None:
            threading.Thread(target=self._write, args=[self._process.stdin], daemon=True, name="trackers").start()

    def __enter__(self) -> "TrackerProcess":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is None:
            return
        self._lines.put(None)
        finish_s = FINISH_WHEN_ASKED_S if isinstance(error, AskedToEnd) else FINISH_S
        try:
            self._process.wait(finish_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            log.warning(
                "%s: not all was sent within %.0f s. What there is lies in %s on the volume.",
                *(self._names, finish_s, self._start.folder),
            )

    def tell(self, record: Record) -> None:
        if self._process is None or self._lines.qsize() >= WAITING or self._process.poll() is not None:
            self._say_once("behind or ended, steps are lost")
            return
        if record.completions is not None and self._waiting_bytes >= WAITING_BYTES:
            self._say_once("behind, tables of completions are lost")
            record = record.model_copy(update={"completions": None})
        line = record.to_line()
        self._count(len(line))
        self._lines.put(line)

    def fail(self, error: Exception) -> None:
        self._say_once(f"{type(error).__name__}: {error}. Training goes on without what they were to be told")

    @property
    def _names(self) -> str:
        return ", ".join(self._start.trackers)

    def _open(self, environment: Mapping[str, str]) -> subprocess.Popen[bytes] | None:
        try:
            return subprocess.Popen([sys.executable, "-m", MODULE], stdin=subprocess.PIPE, env=environment)
        except (OSError, ValueError) as error:  # no memory for it, or an environment that the system does not take
            self.fail(error)
            return None

    def _say_once(self, what: str) -> None:
        if what not in self._said:
            self._said.add(what)
            log.warning("%s: %s (said once)", self._names, what)

    def _count(self, size: int) -> None:
        with self._size:
            self._waiting_bytes += size

    def _write(self, pipe: IO[bytes]) -> None:
        with contextlib.suppress(BrokenPipeError), pipe:
            pipe.write(self._start.to_line())
            while (line := self._lines.get()) is not None:
                pipe.write(line)
                pipe.flush()
                self._count(-len(line))
