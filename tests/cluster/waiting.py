"""Deadlines, errors and timings.

What is waited for in this package has a deadline: conditions here, commands in `processes`. Only the compilers of
`build` may take as long as they take.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TextIO

POLL_S = 0.1


class ClusterError(Exception):
    """Ends the program; its text is one sentence for the person who ran it."""


def wait_for(what: str, is_done: Callable[[], object], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_done():
        if time.monotonic() > deadline:
            raise ClusterError(f"{what}: not within {timeout_s:.0f} s")
        time.sleep(POLL_S)


@contextlib.contextmanager
def timed(what: str, file: TextIO | None = None) -> Iterator[None]:
    """Prints how long the block took, to standard output unless that is for results."""
    start = time.monotonic()
    yield
    print(f"{time.monotonic() - start:6.1f} s  {what}", file=file, flush=True)
