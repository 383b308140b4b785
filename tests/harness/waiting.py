"""Waiting for a condition with a deadline; never for time to pass."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(what: str, look: Callable[[], T | None], timeout_s: float, interval_s: float = 0.5) -> T:
    """Return the first truthy answer of `look`.

    Raises:
        TimeoutError: no truthy answer within `timeout_s`; names `what` and the last answer.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        answer = look()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout_s:.0f} s (last seen: {answer!r})")
        time.sleep(interval_s)
