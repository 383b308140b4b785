"""What a step learns from, of all ranks, in TRL's order: the completions of a prompt follow each other."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple


class Written(NamedTuple):
    """What a generator wrote, in tokens."""

    prompt_tokens: int
    tokens: int
    is_truncated: bool
    weight_version: int


@dataclass(frozen=True)
class Batch:
    """B completions, in groups of `num_generations`."""

    step: int
    attempt: int
    at: datetime
    """UTC, without saying so."""
    num_generations: int
    prompts: Sequence[Any]
    """B, texts or conversations."""
    completions: Sequence[Any]
    """B, texts or messages."""
    written: Sequence[Written]
    """B."""
    scores: Mapping[str, Sequence[float]]
    """B for each reward function; NaN where it gave none."""
    weights: Sequence[float]
    """Of the functions, in their order."""
    advantages: Sequence[float]
    """B."""

    @property
    def num_groups(self) -> int:
        return len(self.completions) // self.num_generations


def sampled_groups(batch: Batch, most: int | None) -> list[int]:
    """Which are kept: all, or so many at random, the same whenever the step is made."""
    groups = range(batch.num_groups)
    if most is None or most >= len(groups):
        return list(groups)
    return sorted(random.Random(batch.step).sample(groups, most))  # noqa: S311 (nothing secret)
