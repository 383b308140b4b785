"""The clock of a paced generator: how fast the completions that are being written get their tokens."""

import asyncio
import heapq
import itertools
from dataclasses import dataclass
from typing import Final

SAME_MOMENT: Final = 1e-6
"""Of a token."""


@dataclass(frozen=True)
class Pace:
    seconds_per_token: float
    slots: int
    """So many completions are written at once at that pace; more of them share it."""
    vocabulary: int


@dataclass(frozen=True, order=True)
class _Writing:
    end: float
    """On the clock of tokens."""
    number: int
    done: asyncio.Future[None]


class Decoder:
    """All completions get their next tokens at the same moments, as in a batch of vLLM's.

    There are no waves, in which one completion too many takes as long as all the others: real ones differ in length, and each
    that ends makes room for another.
    """

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._writing: list[_Writing] = []
        self._numbers = itertools.count()
        self._tokens = 0.0
        """That a completion had by now which was there from the start."""
        self._known_at = 0.0
        self._paused = False
        self._next_end: asyncio.TimerHandle | None = None

    async def write(self, num_tokens: int) -> None:
        """Returns when a completion of so many tokens is written."""
        self._count()
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        writing = _Writing(self._tokens + num_tokens, next(self._numbers), done)
        heapq.heappush(self._writing, writing)
        self._plan()
        try:
            await done
        except asyncio.CancelledError:
            self._count()
            self._writing.remove(writing)
            heapq.heapify(self._writing)
            self._plan()
            raise

    def pause(self, paused: bool) -> None:
        self._count()
        self._paused = paused
        self._plan()

    @property
    def _token_s(self) -> float:
        return self._pace.seconds_per_token * max(1, len(self._writing) / self._pace.slots)

    def _count(self) -> None:
        """Before anything changes the pace."""
        now = asyncio.get_running_loop().time()
        if self._writing and not self._paused:
            self._tokens += (now - self._known_at) / self._token_s
        self._known_at = now

    def _plan(self) -> None:
        if self._next_end is not None:
            self._next_end.cancel()
        if self._writing and not self._paused:
            left_s = (self._writing[0].end - self._tokens) * self._token_s
            self._next_end = asyncio.get_running_loop().call_later(max(0.0, left_s), self._end)

    def _end(self) -> None:
        self._count()
        while self._writing and self._writing[0].end <= self._tokens + SAME_MOMENT:
            heapq.heappop(self._writing).done.set_result(None)
        self._plan()
