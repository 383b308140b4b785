"""Curves of the steps as lines of an SVG picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

WIDTH: Final = 600
HEIGHT: Final = 160


@dataclass(frozen=True)
class Curve:
    title: str
    points: str
    """Of an SVG polyline, within WIDTH x HEIGHT."""
    low: str
    high: str
    newest: str
    first_step: int
    last_step: int


def curve(title: str, steps: Sequence[int], values: Sequence[float | None]) -> Curve | None:
    """None where there is no value."""
    known = [(step, value) for step, value in zip(steps, values, strict=True) if value is not None]
    if not known:
        return None
    numbers = [value for _, value in known]
    low, high = min(numbers), max(numbers)
    first, last = known[0][0], known[-1][0]
    places = ((WIDTH * _share(step, first, last), HEIGHT * (1 - _share(value, low, high))) for step, value in known)
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return Curve(title, points, f"{low:.4g}", f"{high:.4g}", f"{numbers[-1]:.4g}", first, last)


def _share(value: float, low: float, high: float) -> float:
    return (value - low) / (high - low) if high > low else 0.5
