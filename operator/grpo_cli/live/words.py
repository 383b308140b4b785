"""Durations and numbers, as people say them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

BARS: Final = "▁▂▃▄▅▆▇█"
MINUTE, HOUR, DAY = 60, 3600, 86400


def duration(seconds: float) -> str:
    """To two units: 35 s, 12 min, 3 h 5 min, 2 d 4 h."""
    whole = max(0, int(seconds))
    if whole < MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        return f"{whole // MINUTE} min"
    if whole < DAY:
        return _two(whole, HOUR, "h", MINUTE, "min")
    return _two(whole, DAY, "d", HOUR, "h")


def _two(whole: int, large: int, large_name: str, small: int, small_name: str) -> str:
    rest = whole % large // small
    return f"{whole // large} {large_name}" + (f" {rest} {small_name}" if rest else "")


def since(stamp: str, now: datetime) -> str:
    """`stamp`: RFC 3339."""
    return duration((now - datetime.fromisoformat(stamp)).total_seconds())


def number(value: Any) -> str:
    return "-" if value is None else f"{value:.4g}"


def sparkline(values: Sequence[float], width: int) -> str:
    """The course of the last values, one sign for each; of a constant one, a line in the middle."""
    shown = list(values)[-width:]
    if not shown:
        return ""
    low, high = min(shown), max(shown)
    if high == low:
        return BARS[3] * len(shown)
    return "".join(BARS[int((value - low) / (high - low) * (len(BARS) - 1))] for value in shown)
