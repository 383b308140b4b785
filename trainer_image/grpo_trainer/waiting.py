"""Waiting for what others do, with a deadline that ends in a named reason. No torch: the launcher waits too."""

import time
from collections.abc import Callable

from grpo_contract.failure import RunFailure


def wait_until(is_so: Callable[[], bool], deadline_s: float, every_s: float, failure: RunFailure) -> None:
    """
    Raises:
        RunFailure: `failure`, when it is not so within `deadline_s`.
    """
    deadline = time.monotonic() + deadline_s
    while not is_so():
        if time.monotonic() > deadline:
            raise failure
        time.sleep(every_s)
