"""Waiting for a condition with a deadline; never for time to pass."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

LATENESS = 0.05
"""How much later an answer may be seen, as a share of what was waited for it."""
LONGEST_PAUSE_S = 2.0


def wait_for(what: str, look: Callable[[], T | None], timeout_s: float, interval_s: float = 0.5) -> T:
    """Return the first truthy answer of `look`, which is asked less often the longer that takes: a look costs CPU, of which
    who is waited for may have little.

    Raises:
        TimeoutError: no truthy answer within `timeout_s`; names `what` and the last answer.
    """
    started = time.monotonic()
    while True:
        answer = look()
        if answer:
            return answer
        waited_s = time.monotonic() - started
        if waited_s > timeout_s:
            raise TimeoutError(f"{what}: not within {timeout_s:.0f} s (last seen: {answer!r})")
        time.sleep(max(interval_s, min(LATENESS * waited_s, LONGEST_PAUSE_S)))
