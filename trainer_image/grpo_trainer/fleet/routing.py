"""Which generator writes which group: the one that will be through with it first.

Pure: the fleet says what waits, what is under way and how fast each generator was. Prompts do not count: a group's prompt is
read once for all of its completions, many times faster than a token of them is written.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

RESERVE: Final = 1.25
"""Of what a generator writes at once, so much is given to it, so that it never waits for the next group."""


@dataclass(frozen=True)
class Group:
    """One that waits."""

    sequences: int
    tokens: float
    """As many as its completions are expected to have."""


@dataclass(frozen=True)
class Load:
    """What a generator has under way."""

    sequences: int
    tokens: float
    """As many as these are expected to have."""
    rate: float | None
    """Tokens per second that it writes; None when that is not known."""
    most: float
    """With so many sequences under way it gets no other group."""
    is_coming: bool = False
    """It has not the weights yet, and will soon: what is its share waits for it."""


@dataclass
class _Line:
    """A generator, and what would be its work if nothing changed any more."""

    rate: float
    sequences: int
    tokens: float
    most: float
    is_full: bool = False
    places: list[int] = field(default_factory=list)
    """Of the groups that go to it now."""

    def needed_s(self, group: Group) -> float:
        """Until it is through with that group too."""
        return (self.tokens + group.tokens) / self.rate

    def take(self, place: int, group: Group) -> None:
        """Now, or when it has room."""
        self.tokens += group.tokens
        self.is_full = self.is_full or self.sequences >= self.most
        if not self.is_full:
            self.sequences += group.sequences
            self.places.append(place)


def route(groups: Sequence[Group], loads: Sequence[Load]) -> list[list[int]]:
    """For each generator, which of the groups (their places) go to it now. The others wait: for a generator that will have
    written them sooner than any that has room, or because none has."""
    lines = [
        _Line(rate, load.sequences, load.tokens, load.most, is_full=load.is_coming)
        for rate, load in zip(_rates(loads), loads, strict=True)
    ]
    for place, group in enumerate(groups):
        if all(line.is_full for line in lines):
            break
        _soonest(lines, group).take(place, group)
    return [line.places for line in lines]


def enough(width: float, mean_length: float | None, longest: float | None) -> float:
    """Sequences under way on a generator that writes so many at once. What exceeds it waits in the fleet, where any generator
    may still take it.

    A request is answered when the longest of its completions is written. The others are finished by then, each when it was:
    of what is under way, mean length / longest is being written, on average.
    """
    spread = longest / mean_length if mean_length and longest else 1.0
    return RESERVE * width * spread


def _soonest(lines: Sequence[_Line], group: Group) -> _Line:
    return min(lines, key=lambda line: line.needed_s(group))


def _rates(loads: Sequence[Load]) -> list[float]:
    """One that was not measured yet is taken to be like the others."""
    known = [load.rate for load in loads if load.rate is not None]
    mean = sum(known) / len(known) if known else 1.0
    return [mean if load.rate is None else load.rate for load in loads]
