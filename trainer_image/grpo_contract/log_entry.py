"""A line of a log as an entry: one JSON object per event, which pods write for machines to collect; and its text for people.

Not every line is an entry: libraries in C, and an interpreter that dies, write as they like.
"""

from datetime import UTC
from typing import Final

from pydantic import AwareDatetime, BaseModel, ValidationError

STDOUT: Final = "stdout"
STDERR: Final = "stderr"
STREAMS: Final = (STDOUT, STDERR)
"""Loggers of entries that some code has printed."""


class Entry(BaseModel):
    """What people read of one."""

    time: AwareDatetime
    level: str
    logger: str = ""
    message: str
    """Of one line, or of more."""
    error: str | None = None
    """A traceback."""
    rank: int | None = None
    """Of the learner process that says it."""

    @property
    def text(self) -> str:
        said = "\n".join(part.rstrip("\n") for part in (self.message, self.error) if part)
        time = self.time.astimezone(UTC)
        stamp = f"{time:%Y-%m-%d %H:%M:%S},{time.microsecond // 1000:03d}"
        return f"{stamp} {self.level} {rank_prefix(self.rank)}{said}"


def entry_of(line: str) -> Entry | None:
    """None of a line that is none."""
    if not line.startswith("{"):
        return None
    try:
        return Entry.model_validate_json(line)
    except ValidationError:  # of somebody else
        return None


def readable(line: str) -> str:
    """For a person; what is no entry stays as it is."""
    return line if (entry := entry_of(line)) is None else entry.text


def printable(line: str) -> str:
    """Without what would steer a terminal: a model may write anything, and whoever prints or logs it hands it on."""
    return "".join(letter if letter.isprintable() else " " for letter in line)


def without_overwritten(line: str) -> str:
    """Of a progress bar, which writes over itself, what stands in the end."""
    return line.rstrip("\r").rpartition("\r")[2]


def rank_prefix(rank: int | None) -> str:
    """Before what another rank than the first one says."""
    return f"[rank {rank}] " if rank else ""
