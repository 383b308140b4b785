"""Which runs to look at, and when. It knows nothing about what a look is.

A key waits at most once and is in work at most once; a key that is added while it is in work is looked at once more.
"""

import asyncio
from collections.abc import Awaitable, Hashable
from itertools import count
from typing import Final, Generic, TypeVar

from grpo_operator.backoff import doubled

BACKOFF_FIRST_S: Final = 0.5
BACKOFF_MOST_S: Final = 60.0

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


def backoff_s(failures: int) -> float:
    """After so many failures in a row."""
    return doubled(BACKOFF_FIRST_S, failures - 1, BACKOFF_MOST_S)


class WorkQueue(Generic[K]):
    def __init__(self) -> None:
        self._ready: asyncio.PriorityQueue[tuple[bool, int, K]] = asyncio.PriorityQueue()
        self._order = count()
        self._waiting: set[K] = set()
        self._working: dict[K, float] = {}  # since when
        self._delayed: dict[K, asyncio.TimerHandle] = {}
        self._failures: dict[K, int] = {}
        self._yielding: dict[K, asyncio.Timeout] = {}

    @property
    def depth(self) -> int:
        """Keys that could be taken now."""
        return self._ready.qsize()

    @property
    def longest_in_work_s(self) -> float:
        """Grows without bound when work hangs; a long queue alone is only load."""
        return _now() - min(self._working.values()) if self._working else 0.0

    def add(self, key: K, goes_first: bool = False) -> None:
        """`goes_first`: before all keys that do not, however long they have waited."""
        if key in self._waiting:
            return
        self._waiting.add(key)
        if key not in self._working:
            self._put(key, goes_first)
        elif yielding := self._yielding.get(key):
            yielding.reschedule(_now())

    def add_after(self, key: K, delay_s: float) -> None:
        """Of several delays for a key the one that ends first counts."""
        due = _now() + delay_s
        if earlier := self._delayed.get(key):
            if earlier.when() <= due:
                return
            earlier.cancel()
        self._delayed[key] = asyncio.get_running_loop().call_at(due, self._due, key)

    def add_after_failure(self, key: K, at_least_s: float = 0.0) -> float:
        """Each failure in a row doubles the delay, which is returned."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        delay_s = max(at_least_s, backoff_s(failures))
        self.add_after(key, delay_s)
        return delay_s

    def has_failed(self, key: K) -> bool:
        """The last time."""
        return key in self._failures

    def forget_failures(self, key: K) -> None:
        self._failures.pop(key, None)

    async def take(self) -> K:
        """The next key. Whatever it was to be looked at for later is seen to now, so its delay ends here."""
        _, _, key = await self._ready.get()
        self._waiting.discard(key)
        self._working[key] = _now()
        if delayed := self._delayed.pop(key, None):
            delayed.cancel()
        return key

    async def unless_added(self, key: K, work: Awaitable[T]) -> T | None:
        """What `work` gives, a part of the work on this key; None when the key is added before that, which ends the part."""
        try:
            async with asyncio.timeout(0 if key in self._waiting else None) as yielding:
                self._yielding[key] = yielding
                return await work
        except TimeoutError:
            if not yielding.expired():
                raise
            return None
        finally:
            del self._yielding[key]

    def done(self, key: K) -> None:
        del self._working[key]
        if key in self._waiting:
            self._put(key)

    def _put(self, key: K, goes_first: bool = False) -> None:
        self._ready.put_nowait((not goes_first, next(self._order), key))

    def _due(self, key: K) -> None:
        del self._delayed[key]
        self.add(key)


def _now() -> float:
    return asyncio.get_running_loop().time()
