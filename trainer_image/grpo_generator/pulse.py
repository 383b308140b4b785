"""Whether vLLM's engine answers. Its server does for as long as its own process runs, whatever becomes of the engine's."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

SILENT_S: Final = 60.0
"""Without an answer to a small question, and the engine hangs. It answers between two steps, and before and after a swap."""


class Pulse:
    """Used by the server's event loop alone."""

    def __init__(self) -> None:
        self._question: asyncio.Task[None] | None = None
        self._asked_at_s = 0.0

    def beats(self, ask: Callable[[], Awaitable[object]], now_s: float) -> bool:
        """Asks the engine, unless it still owes an answer; False when it has owed it for too long."""
        if self._question is None or self._question.done():
            self._question, self._asked_at_s = asyncio.create_task(_asked(ask)), now_s
        return now_s - self._asked_at_s < SILENT_S


async def _asked(ask: Callable[[], Awaitable[object]]) -> None:
    with contextlib.suppress(Exception):  # of one that is dead, which vLLM says itself
        await ask()
