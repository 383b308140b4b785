"""What a check has to say. Data only."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    ERROR = "error"
    """The run would be refused, or fail."""
    WASTE = "waste"
    """The run would work, with something paid for and not used."""
    NOTE = "note"
    """What is done with the run that its author may not expect."""


@dataclass(frozen=True)
class Finding:
    level: Level
    field: str
    """Path in the GRPORun; empty: the whole of it."""
    sentence: str


def error(field: str, sentence: str) -> Finding:
    return Finding(Level.ERROR, field, sentence)


def waste(field: str, sentence: str) -> Finding:
    return Finding(Level.WASTE, field, sentence)


def note(field: str, sentence: str) -> Finding:
    return Finding(Level.NOTE, field, sentence)
