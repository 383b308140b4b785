"""How processes of runs and the operator write their logs: entries in pods, text where a person started them."""

import fcntl
import io
import logging
import os
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any, Final, TextIO

from pythonjsonlogger.json import JsonFormatter

from grpo_contract import environment

FIELDS: Final = {"asctime": "time", "levelname": "level", "name": "logger", "message": "message", "exc_info": "error"}
"""{logging's name: that of a log_entry.Entry}. Who says it stands beside them, and what `extra` adds."""
LOCK: Final = "grpo-log.lock"
WAITS_S: Final = 0.5
"""For others that write. One that was stopped while it wrote must not keep them from saying so."""


def are_json() -> bool:
    """Whether this process's log is."""
    return os.environ.get(environment.LOGS) == environment.LOGS_AS_JSON


def handler(
    stream: TextIO, role: str, text_format: str, rank: int | None = None, *, shared: bool = False
) -> logging.Handler:
    """For all that this process says. `text_format` is for people. `shared`: other processes of the pod write there, too."""
    if not are_json():
        speaking: logging.Handler = logging.StreamHandler(stream)
        speaking.setFormatter(logging.Formatter(text_format))
        return speaking
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")  # what is no text, as half of a letter, is told all the same
    speaking = _OneAtATime(stream) if shared else _Speaking(stream)
    speaking.setFormatter(_Entries(role, rank))
    return speaking


class _Speaking(logging.StreamHandler[TextIO]):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        """Not to sys.stderr, which may lead here."""
        traceback.print_exc(file=sys.__stderr__)


class _OneAtATime(_Speaking):
    """More than a few KiB (PIPE_BUF) are not one write, and a traceback of each rank comes at the same time."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._lock_file = (Path(tempfile.gettempdir()) / LOCK).open("a")

    def emit(self, record: logging.LogRecord) -> None:
        self._wait()
        try:
            super().emit(record)
        finally:
            fcntl.lockf(self._lock_file, fcntl.LOCK_UN)

    def _wait(self) -> None:
        ends_s = time.monotonic() + WAITS_S
        while time.monotonic() < ends_s:
            try:
                fcntl.lockf(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                time.sleep(0.001)
            else:
                return


class _Entries(JsonFormatter):
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self, role: str, rank: int | None) -> None:
        super().__init__(["asctime", "levelname", "name", "message"], rename_fields=FIELDS, json_ensure_ascii=False)
        self.converter = time.gmtime
        self._speaker = {name: value for name, value in _speaker(role, rank).items() if value is not None}

    def format(self, record: logging.LogRecord) -> str:
        if not isinstance(record.msg, str):  # the library would take a mapping for fields
            record = logging.makeLogRecord({**vars(record), "msg": str(record.msg)})
        return super().format(record)

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        """Who speaks is not to be said by anything else."""
        return super().process_log_record(log_data | self._speaker)


def _speaker(role: str, rank: int | None) -> dict[str, Any]:
    attempt = os.environ.get(environment.ATTEMPT)
    return {
        "run": os.environ.get(environment.RUN),
        "attempt": int(attempt) if attempt else None,
        "role": role,
        "pod": os.environ.get(environment.POD_NAME),
        "rank": rank,
    }
