"""Waiting on a cluster for minutes: API servers restart, and connections break."""

from collections.abc import Callable
from typing import TypeVar

from harness.kubectl import CommandFailedError
from harness.waiting import wait_for

T = TypeVar("T")


def wait_through_outages(what: str, look: Callable[[], T | None], timeout_s: float, interval_s: float = 0.5) -> T:
    """As `wait_for`, where a command that fails is no answer yet.

    Raises:
        CommandFailedError: the last look before the deadline ended in it.
        TimeoutError: that look had no truthy answer.
    """
    failure: CommandFailedError | None = None

    def attempt() -> T | None:
        nonlocal failure
        try:
            answer = look()
        except CommandFailedError as error:
            failure = error
            return None
        failure = None
        return answer

    try:
        return wait_for(what, attempt, timeout_s, interval_s)
    except TimeoutError:
        if failure:
            raise failure from None
        raise
