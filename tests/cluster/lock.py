"""One invocation at a time may change the cluster, images or their caches, by the command line or by an import."""

import contextlib
import fcntl
import sys
from collections.abc import Iterator
from pathlib import Path

from cluster.layout import LOCK
from cluster.waiting import wait_for

TIMEOUT_S = 3600  # the other one may be building everything from nothing


@contextlib.contextmanager
def alone(lock: Path = LOCK) -> Iterator[None]:
    """Not to be nested: a second lock in one process waits for the first. The kernel frees that of one that crashed."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as file:
        if not _is_locked(file.fileno()):
            print(f"another invocation is at work; waiting for {lock}", file=sys.stderr)
            wait_for(f"{lock}, held by another invocation", lambda: _is_locked(file.fileno()), TIMEOUT_S)
        yield


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
