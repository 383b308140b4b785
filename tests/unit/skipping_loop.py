"""Hours of an event loop in a moment."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any


class SkippingLoop(asyncio.SelectorEventLoop):
    """Its clock stands still while there is work, and jumps to what is due next when there is none."""

    def __init__(self) -> None:
        super().__init__(SkippingSelector(self))
        self.now = 0.0

    def time(self) -> float:
        return self.now


class SkippingSelector(selectors.SelectSelector):
    def __init__(self, loop: SkippingLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._loop.now += timeout or 0
        return super().select(0)


def with_clock(test: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=SkippingLoop) as runner:
        runner.run(test)
