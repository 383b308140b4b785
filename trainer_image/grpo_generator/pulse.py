"""Whether vLLM's engine answers. Its server does for as long as its own process runs, whatever becomes of the engine's."""

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

SILENT_S: Final = 60.0
"""Without an answer to a small question, and the engine hangs. It answers between two steps."""


class Pulse:
    """Used by the server's event loop alone."""

    def __init__(self, swap_s: float, now_s: Callable[[], float]) -> None:
        """`swap_s`: how long a request about weights may take, which the engine answers nothing else during."""
        self._swap_s, self._now_s = swap_s, now_s
        self._question: asyncio.Task[None] | None = None
        self._asked_at_s = 0.0
        self._swapping_since_s = -math.inf

    @contextlib.contextmanager
    def swapping(self) -> Iterator[None]:
        """During such a request. There is one at a time."""
        self._swapping_since_s = self._now_s()
        try:
            yield
        finally:
            self._swapping_since_s = -math.inf

    def beats(self, ask: Callable[[], Awaitable[object]]) -> bool:
        """Asks the engine, unless it still owes an answer; False when it has owed it for too long."""
        now_s = self._now_s()
        if now_s - self._swapping_since_s < self._swap_s:
            return True
        if self._question is None or self._question.done():
            self._question, self._asked_at_s = asyncio.create_task(_asked(ask)), now_s
        return now_s - self._asked_at_s < SILENT_S


async def _asked(ask: Callable[[], Awaitable[object]]) -> None:
    with contextlib.suppress(Exception):  # of one that is dead, which vLLM says itself
        await ask()
