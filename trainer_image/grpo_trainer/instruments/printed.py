"""What reward functions and libraries print, as entries of the log: each with the rank that it comes from, and its step."""

import io
import logging
import threading
from typing import Any, Final, TextIO

from grpo_contract.log_entry import without_overwritten

MOST_HELD: Final = 1 << 13
"""Characters of a line that has no end yet."""


class _Begun(threading.local):
    """A line, by thread: two that print at once do not mix their words."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.size = 0


class Printed(io.TextIOBase):
    """In the place of sys.stdout or sys.stderr.

    It writes by a handler of its own, past the registry of loggers: what user code sets up there, silences or sends to
    sys.stdout neither loses a line nor comes back here.
    """

    encoding = "utf-8"

    def __init__(self, underneath: TextIO, handler: logging.Handler, logger: str, level: int) -> None:
        """`handler` writes to `underneath`, which is also for who asks for a file."""
        self._underneath, self._handler = underneath, handler
        self._said_as = {"name": logger, "levelno": level, "levelname": logging.getLevelName(level)}
        self._begun = _Begun()

    def write(self, text: str) -> int:
        *lines, rest = text.split("\n")
        for line in lines:
            self._begun.parts.append(line)
            self._end_line()
        self._begun.parts.append(rest)
        self._begun.size += len(rest)
        if self._begun.size > MOST_HELD:
            self._end_line()
        return len(text)

    def flush(self) -> None:
        """Also of a line that has no end yet: the process may have one. Not of a progress bar, which is to be written over."""
        if not any("\r" in part for part in self._begun.parts):
            self._end_line()

    def _end_line(self) -> None:
        line = "".join(self._begun.parts)
        self._begun.parts, self._begun.size = [], 0
        if shown := without_overwritten(line):
            self._handler.handle(logging.makeLogRecord({**self._said_as, "msg": shown}))

    def fileno(self) -> int:
        return self._underneath.fileno()

    def writable(self) -> bool:
        return True

    def __getattr__(self, name: str) -> Any:
        """Whatever else a file of text has: `buffer`, `reconfigure`, `name`."""
        return getattr(self._underneath, name)
