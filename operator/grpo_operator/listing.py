"""What the watches do not tell: what there is when the operator starts, and what went away while one was interrupted.

A watch that has to start anew lists what is there; of what is not there any more nobody tells.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from grpo_operator.api.run import was_looked_at
from grpo_operator.cache import Cache, Key
from grpo_operator.kube import ApiError, Kube
from grpo_operator.resources import CHILDREN, GRPORUN, Resource, watch_selector
from grpo_operator.workqueue import WorkQueue

FIRST_SWEEP_AFTER_S: Final = 60.0
"""The watches list anew what `fill` has listed; what was deleted in between is found soon."""

logger = logging.getLogger(__name__)


class Lister:
    def __init__(self, kube: Kube, cache: Cache, queue: WorkQueue[Key], namespaces: Sequence[str]) -> None:
        """`namespaces` empty: the whole cluster."""
        self._kube, self._cache, self._queue = kube, cache, queue
        self._namespaces: Sequence[str | None] = namespaces or (None,)

    async def fill(self) -> None:
        """Every run is to be looked at, and the first look at one knows all its children."""
        for resource in (*CHILDREN, GRPORUN):
            for namespace in self._namespaces:
                async for manifest in self._kube.objects(resource, namespace, watch_selector(resource)):
                    self._cache.put_reported(resource.kind, manifest)
                    if resource is GRPORUN:
                        key = (manifest["metadata"]["namespace"], manifest["metadata"]["name"])
                        self._queue.add(key, goes_first=not was_looked_at(manifest))

    async def sweep_for_ever(self, every_s: float) -> None:
        pause_s = min(every_s, FIRST_SWEEP_AFTER_S)
        while True:
            await asyncio.sleep(pause_s)
            for resource in (GRPORUN, *CHILDREN):
                try:
                    await self._sweep(resource)
                except ApiError as error:
                    logger.warning("%s: cannot be compared with what is there: %s", resource.plural, error)
            pause_s = every_s

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
