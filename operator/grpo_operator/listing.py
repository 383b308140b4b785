"""What the watches do not tell: what there is when the operator starts, and what went away while one was interrupted.

A watch that has to start anew lists what is there; of what is not there any more nobody tells.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

from grpo_operator.api.run import was_looked_at
from grpo_operator.cache import Cache, Key
from grpo_operator.kube import ApiError, Kube, RefusedError
from grpo_operator.resources import CHILDREN, GRPORUN, Resource, watch_selector
from grpo_operator.workqueue import WorkQueue, backoff_s

FIRST_SWEEP_AFTER_S: Final = 60.0
"""The watches list anew what `fill` has listed; what was deleted in between is found soon."""
LISTED_WITHIN_S: Final = 5.0
"""So long after the last object of a list there is no other list: watches that were interrupted together list together."""

logger = logging.getLogger(__name__)


class Lister:
    def __init__(self, kube: Kube, cache: Cache, queue: WorkQueue[Key], namespaces: Sequence[str]) -> None:
        """`namespaces` empty: the whole cluster."""
        self._kube, self._cache, self._queue = kube, cache, queue
        self._namespaces: Sequence[str | None] = namespaces or (None,)
        self._is_listed_anew = asyncio.Event()

    def heard_of_list(self) -> None:
        """A watch has listed what there is: it may have missed what is there no more."""
        self._is_listed_anew.set()

    async def fill(self) -> None:
        """Every run is to be looked at, and the first look at one knows all its children."""
        for resource in (*CHILDREN, GRPORUN):
            for namespace in self._namespaces:
                await insist(partial(self._fill, resource, namespace))

    async def _fill(self, resource: Resource, namespace: str | None) -> None:
        async for manifest in self._kube.objects(resource, namespace, watch_selector(resource)):
            self._cache.put_reported(resource.kind, manifest)
            if resource is GRPORUN:
                key = (manifest["metadata"]["namespace"], manifest["metadata"]["name"])
                self._queue.add(key, goes_first=not was_looked_at(manifest))

    async def sweep_for_ever(self, every_s: float) -> None:
        """And soon after watches have listed anew."""
        pause_s = min(every_s, FIRST_SWEEP_AFTER_S)
        while True:
            await self._until_listed(pause_s)
            pause_s = every_s
            for resource in (GRPORUN, *CHILDREN):
                try:
                    await insist(partial(self._sweep, resource))
                except RefusedError as refused:
                    logger.warning("%s: cannot be compared with what is there: %s", resource.plural, refused)

    async def _until_listed(self, at_most_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(at_most_s):
                await self._is_listed_anew.wait()
                while self._is_listed_anew.is_set():
                    self._is_listed_anew.clear()
                    await asyncio.sleep(LISTED_WITHIN_S)

    async def _sweep(self, resource: Resource) -> None:
        known = self._cache.uids(resource.kind)  # before the list: what comes later cannot be missed in it
        present: set[str] = set()
        for namespace in self._namespaces:
            present |= await self._kube.uids(resource, namespace, watch_selector(resource))
        # What a watch has told of meanwhile is known no more.
        for uid in (known.keys() - present) & self._cache.uids(resource.kind).keys():
            place, key = known[uid]
            logger.warning("%s %s/%s was deleted without news of it", *place)
            self._cache.drop(place, uid)
            self._queue.add(key)


async def insist(ask: Callable[[], Awaitable[None]]) -> None:
    """Until the API server answers, whatever that is: a process that ended instead would only be started again, later and later.

    Raises:
        RefusedError: it has answered that it will not do it.
    """
    failures = 0
    while True:
        try:
            return await ask()
        except RefusedError:
            raise
        except ApiError as error:
            failures += 1
            pause_s = max(error.retry_after_s, backoff_s(failures))
            logger.warning("%s; next try in %.1f s", error, pause_s)
            await asyncio.sleep(pause_s)
