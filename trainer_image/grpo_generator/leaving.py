"""A generator that is asked to end: it takes nothing more to write, and ends when it has written what it was asked for before.

Learners see it by a header on its answers, and ask others. What it is writing would have to be written anew.
"""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

LEAVE: Final = signal.SIGUSR1
"""To the server's process, from its supervisor. It ends one that does not serve yet: there is nothing to finish."""


class Leaving:
    """Used by the server's event loop alone."""

    def __init__(self) -> None:
        self.is_asked = False
        self._num_under_way = 0

    def listen(self) -> None:
        """For the signal, from now on."""
        asyncio.get_running_loop().add_signal_handler(LEAVE, self._ask)

    @contextmanager
    def answering(self) -> Iterator[None]:
        """A request for completions, which is answered before the end."""
        self._num_under_way += 1
        try:
            yield
        finally:
            self._num_under_way -= 1
            self._end_if_done()

    def _ask(self) -> None:
        self.is_asked = True
        self._end_if_done()

    def _end_if_done(self) -> None:
        if self.is_asked and self._num_under_way == 0:
            os.kill(os.getpid(), signal.SIGTERM)  # vLLM ends in its own way
