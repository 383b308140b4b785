"""What one rank has of a batch whose completions are written: prompts, tokens and what reward functions logged."""

import math
from dataclasses import dataclass, field
from typing import Any

Sample = tuple[dict[str, Any], dict[str, Any]]
"""What there is of one completion, by column, and by column that reward functions logged."""


@dataclass
class Portion:
    """An entry for each completion of this rank, in all columns."""

    columns: dict[str, list[Any]]
    """Lists that TRL goes on with: they change in place."""
    extras: dict[str, list[Any]] = field(default_factory=dict)
    """What reward functions logged, by its name."""

    @property
    def size(self) -> int:
        return len(self.columns["completion_ids"])

    @property
    def num_tokens(self) -> int:
        return sum(map(len, self.columns["completion_ids"]))

    def sample(self, place: int) -> Sample:
        return _at(self.columns, place), _at(self.extras, place)

    def put(self, place: int, sample: Sample) -> None:
        own, logged = sample
        for name, values in self.columns.items():
            values[place] = own[name]
        for name in self.extras.keys() | logged.keys():
            self.extras.setdefault(name, [None] * self.size)[place] = logged.get(name)


def _at(columns: dict[str, list[Any]], place: int) -> dict[str, Any]:
    return {name: values[place] for name, values in columns.items()}


@dataclass(frozen=True)
class Layout:
    """How a batch lies on the ranks: group after group, as many completions on each."""

    num_generations: int
    num_ranks: int
    rank: int

    @property
    def _unit(self) -> int:
        """Only multiples of so many groups lie evenly."""
        return math.lcm(self.num_generations, self.num_ranks) // self.num_generations

    def enough(self, num_groups: int) -> int:
        """So many groups, or the next number that lies evenly."""
        return math.ceil(num_groups / self._unit) * self._unit

    def most(self, num_groups: int) -> int:
        """So many groups, or the number below that lies evenly."""
        return num_groups // self._unit * self._unit

    def own(self, size: int) -> range:
        """Places in the batch of this rank's completions, of which there are so many."""
        return range(self.rank * size, (self.rank + 1) * size)

    def places(self, group: int) -> range:
        return range(group * self.num_generations, (group + 1) * self.num_generations)
