"""Which generator writes which group: the one that will be through with it first.

Pure: the fleet says what waits, what is under way and how fast each generator was. Prompts do not count: a group's prompt is
read once for all of its completions, many times faster than a token of them is written.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

MOST_SEQUENCES: Final = 1024
"""Under way on one generator. What exceeds it waits in the fleet, where any generator may still take it, and not in vLLM's
queue. It is the most that vLLM 0.31 writes together by default (max_num_seqs: 1024 on GPUs of 70 GiB and more, 256 on
others, 128 per worker on CPUs): with less the large ones would have too little to do."""


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
    is_coming: bool = False
    """It has not the weights yet, and will soon: what is its share waits for it."""


@dataclass
class _Line:
    """A generator, and what would be its work if nothing changed any more."""

    rate: float
    sequences: int
    tokens: float
    is_full: bool = False
    places: list[int] = field(default_factory=list)
    """Of the groups that go to it now."""

    def needed_s(self, group: Group) -> float:
        """Until it is through with that group too."""
        return (self.tokens + group.tokens) / self.rate

    def take(self, place: int, group: Group) -> None:
        """Now, or when it has room: then whatever comes after waits too, so that a large group gets its turn."""
        self.tokens += group.tokens
        self.is_full = self.is_full or 0 < self.sequences > MOST_SEQUENCES - group.sequences
        if not self.is_full:
            self.sequences += group.sequences
            self.places.append(place)


def route(groups: Sequence[Group], loads: Sequence[Load]) -> list[list[int]]:
    """For each generator, which of the groups (their places) go to it now. The others wait: for a generator that will have
    written them sooner than any that has room, or because none has."""
    lines = [
        _Line(rate, load.sequences, load.tokens, is_full=load.is_coming)
        for rate, load in zip(_rates(loads), loads, strict=True)
    ]
    for place, group in enumerate(groups):
        if all(line.is_full for line in lines):
            break
        _soonest(lines, group).take(place, group)
    return [line.places for line in lines]


def _soonest(lines: Sequence[_Line], group: Group) -> _Line:
    return min(lines, key=lambda line: line.needed_s(group))


def _rates(loads: Sequence[Load]) -> list[float]:
    """One that was not measured yet is taken to be like the others."""
    known = [load.rate for load in loads if load.rate is not None]
    mean = sum(known) / len(known) if known else 1.0
    return [mean if load.rate is None else load.rate for load in loads]
