"""Learner 0's log: the numbers of each step, as `grpo_trainer.reports.step_report` writes them."""

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Final

from grpo_contract.log_entry import STREAMS, Entry, entry_of, printable

STEP: Final = re.compile(r"step (\d+)/(\d+)  (?!evaluation: )(.*)  ([\d.]+) s")
STAMPED: Final = re.compile(r"(\d{4}-\d\d-\d\dT\S+) (.*)")
PREFIX: Final = re.compile(r"^\d{4}-\d\d-\d\d [\d:,]+ [A-Z]+ ")
SECONDS: Final = "seconds"


@dataclass(frozen=True)
class Line:
    at: datetime
    raw: str
    """As it was written."""

    @cached_property
    def entry(self) -> Entry | None:
        return entry_of(self.raw)

    @property
    def is_stamped(self) -> bool:
        """As text of a process of ours is."""
        return PREFIX.match(self.raw) is not None

    @property
    def is_printed(self) -> bool:
        """By who may have copied it from anywhere."""
        return self.entry is not None and self.entry.logger in STREAMS

    @property
    def text(self) -> str:
        """For people."""
        return _printable(self.entry.text if self.entry else self.raw)

    @property
    def message(self) -> str:
        """Without what the log puts before it."""
        return _printable(self.entry.message if self.entry else PREFIX.sub("", self.raw))


@dataclass(frozen=True)
class StepLine:
    step: int
    at: datetime
    numbers: dict[str, float]
    """By name, in the order of the log; `seconds` is how long the step took."""


def lines_of(log: str) -> list[Line]:
    """Of `kubectl logs --timestamps`, whose times are of the node's zone. What a progress bar writes has none of its own, and is left
    out."""
    found = map(STAMPED.match, log.split("\n"))  # and at no other letter that Python takes for the end of a line
    return [Line(datetime.fromisoformat(line[1]), line[2]) for line in found if line]


def steps_of(lines: Iterable[Line]) -> list[StepLine]:
    """In their order; of a step that an attempt has made again, the last one."""
    steps: dict[int, StepLine] = {}
    for line in lines:
        if (found := STEP.fullmatch(line.message)) and not line.is_printed:
            numbers = _numbers(found[3]) | {SECONDS: float(found[4])}
            steps[int(found[1])] = StepLine(int(found[1]), line.at, numbers)
    return [steps[step] for step in sorted(steps)]


def course(steps: Iterable[StepLine], name: str) -> list[float]:
    """Of one number, over the steps that have it."""
    return [step.numbers[name] for step in steps if name in step.numbers]


def _printable(text: str) -> str:
    return "\n".join(map(printable, text.split("\n")))


def _numbers(text: str) -> dict[str, float]:
    numbers = {}
    for part in text.split("  "):
        name, _, value = part.strip().rpartition(" ")
        with suppress(ValueError):  # somebody else's words
            numbers[name] = float(value)
    return numbers
