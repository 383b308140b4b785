"""How processes of runs and the operator write their logs: entries in pods, text where a person started them."""

import logging
import os
import time
from typing import IO, Any, Final

from pythonjsonlogger.json import JsonFormatter

from grpo_contract import environment

JSON: Final = "json"
"""What environment.LOGS says in pods."""
FIELDS: Final = {"asctime": "time", "levelname": "level", "name": "logger", "message": "message", "exc_info": "error"}
"""{logging's name: that of a log_entry.Entry}. Who says it stands beside them, and what `extra` adds."""


def are_json() -> bool:
    """Whether this process's log is."""
    return os.environ.get(environment.LOGS) == JSON


def handler(stream: IO[str], role: str, text_format: str, rank: int | None = None) -> logging.Handler:
    """For all that this process says. `text_format` is for people."""
    speaking = logging.StreamHandler(stream)
    speaking.setFormatter(_Entries(role, rank) if are_json() else logging.Formatter(text_format))
    return speaking


class _Entries(JsonFormatter):
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self, role: str, rank: int | None) -> None:
        speaker = {name: value for name, value in _speaker(role, rank).items() if value is not None}
        fields = ["asctime", "levelname", "name", "message"]
        super().__init__(fields, rename_fields=FIELDS, static_fields=speaker, json_ensure_ascii=False)
        self.converter = time.gmtime


def _speaker(role: str, rank: int | None) -> dict[str, Any]:
    attempt = os.environ.get(environment.ATTEMPT)
    return {
        "run": os.environ.get(environment.RUN),
        "attempt": int(attempt) if attempt else None,
        "role": role,
        "pod": os.environ.get(environment.POD_NAME),
        "rank": rank,
    }
