"""Waiting for what others do, with a deadline that ends in a named reason."""

import math
import time
from collections.abc import Callable

from grpo_contract.failure import RunFailure


def wait_until(
    is_so: Callable[[], bool],
    deadline_s: float,
    every_s: float,
    failure: Callable[[], RunFailure],
    *,
    tell_after_s: float = math.inf,
    tell: Callable[[], None] = lambda: None,
) -> None:
    """`tell` is called once, when it is not so for `tell_after_s`.

    Raises:
        RunFailure: what `failure` says, when it is not so within `deadline_s`.
    """
    begun, is_told = time.monotonic(), False
    while not is_so():
        waited_s = time.monotonic() - begun
        if waited_s > deadline_s:
            raise failure()
        if waited_s >= tell_after_s and not is_told:
            is_told = True
            tell()
        time.sleep(every_s)
