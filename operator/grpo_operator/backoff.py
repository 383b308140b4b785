"""Pauses that double."""

from typing import Final

MOST_DOUBLINGS: Final = 10
"""A thousand of them are no number any more."""


def doubled(first_s: float, times: int, most_s: float) -> float:
    return min(most_s, first_s * 2.0 ** min(times, MOST_DOUBLINGS))
