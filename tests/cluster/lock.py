"""One invocation at a time may change the cluster or its cache, whether it came by the command line or by an import."""

import contextlib
import fcntl
import sys
from collections.abc import Iterator

from cluster.layout import LOCK
from cluster.waiting import wait_for

TIMEOUT_S = 3600  # the other one may be building everything from nothing


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Not to be nested: a second lock in one process waits for the first. The kernel frees that of one that crashed."""
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    with LOCK.open("a") as file:
        if not _is_locked(file.fileno()):
            print(f"another invocation is at work; waiting for {LOCK}", file=sys.stderr)
            wait_for(f"{LOCK}, held by another invocation", lambda: _is_locked(file.fileno()), TIMEOUT_S)
        yield


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
