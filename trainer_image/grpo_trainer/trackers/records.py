"""What is said to the process that tracks: one line of JSON each, the first one a Start."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True)

    def to_line(self) -> bytes:
        """What is no JSON, such as a NumPy number that a reward logs, as text."""
        return self.model_dump_json(fallback=str).encode() + b"\n"


class Start(_Line):
    trackers: Sequence[str]
    """As in `report_to`."""
    folder: Path
    """On the run's volume; each tracker has a folder of its own in it."""
    name: str
    """Of the run, for people."""
    id: str
    """The same for each of a run's attempts, and for no other run."""
    config: Mapping[str, Any]
    """The recipe."""


class Record(_Line):
    """What TRL logs at a step."""

    step: int
    values: Mapping[str, float | str | None]
    """{TRL's key: value}; None where there is none, such as the mean of no scores."""
    completions: Mapping[str, Sequence[Any]] | None = None
    """{column: its cells}, of the step's completions."""


def tracked(values: Mapping[str, Any]) -> dict[str, float | str]:
    """The values that are there, under the names that transformers' trackers give them."""
    return {_tracked_name(key): value for key, value in values.items() if value is not None}


def _tracked_name(key: str) -> str:
    is_of_evaluation = key.startswith("eval_")
    return f"eval/{key.removeprefix('eval_')}" if is_of_evaluation else f"train/{key}"
