"""kopf watches, and does nothing else: no handlers on edges, no finalizers, no annotations, no Events of its own.

No kopf.index either: for the promise that everything is indexed before a first handler runs, each indexed object wakes
all others that wait, and a restart over ten thousand objects takes minutes. `listing` gives us that promise.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import Any, Final

import kopf

from grpo_contract.labels import RUN_LABEL
from grpo_operator.api.run import was_looked_at
from grpo_operator.cache import Cache, Key
from grpo_operator.resources import CHILDREN, GRPORUN, POD, Resource, watch_selector
from grpo_operator.workqueue import WorkQueue, backoff_s

DEBOUNCE_S: Final = 1.0
"""News of children come in bursts, four pods that start are some forty; one look at the run answers them all."""

SERVER_TIMEOUT_S: Final = 300
CLIENT_TIMEOUT_S: Final = 330
CONNECT_TIMEOUT_S: Final = 10
LIST_PAGE: Final = 100
EXIT_TIMEOUT_S: Final = 0.5
IDLE_TIMEOUT_S: Final = 0.5
"""kopf has a task per object that lives on this long after an event: in a burst, thousands of them."""


class _ForEver:
    """Pauses between tries of a request that fails; after the last of a finite number the process would end."""

    def __iter__(self) -> Iterator[float]:
        for failures in count(1):
            yield backoff_s(failures)


class _NothingStored(kopf.DiffBaseStorage):
    """kopf compares each object with its last state for handlers that we do not have: 4 ms of CPU per run."""

    def build(self, **_: Any) -> Any:
        return {}

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        return None


def watch_settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.persistence.diffbase_storage = _NothingStored()
    settings.persistence.progress_storage = kopf.MultiProgressStorage([])
    settings.watching.server_timeout = SERVER_TIMEOUT_S
    settings.watching.client_timeout = CLIENT_TIMEOUT_S
    settings.watching.connect_timeout = CONNECT_TIMEOUT_S
    settings.watching.chunk_size = LIST_PAGE
    settings.networking.connect_timeout = CONNECT_TIMEOUT_S
    settings.networking.request_timeout = CLIENT_TIMEOUT_S
    settings.networking.error_backoffs = _ForEver()
    settings.queueing.exit_timeout = EXIT_TIMEOUT_S
    settings.queueing.idle_timeout = IDLE_TIMEOUT_S
    for resource in CHILDREN:
        selector = watch_selector(resource)
        assert selector is not None
        settings.watching.label_selectors[resource.group, resource.version, resource.plural] = selector
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)  # else a line for every event
    return settings


def build_registry(cache: Cache, queue: WorkQueue[Key], on_list: Callable[[], None]) -> kopf.OperatorRegistry:
    """`on_list` is told of each object that a watch has listed, when it began or had to begin anew."""
    registry = kopf.OperatorRegistry()
    kopf.on.login(id="service-account", registry=registry)(kopf.login_with_service_account)
    kopf.on.login(id="kubeconfig", registry=registry)(kopf.login_with_kubeconfig)
    for resource in (GRPORUN, *CHILDREN):
        _watch(resource, registry, cache, queue, on_list)
    return registry


def _watch(
    resource: Resource,
    registry: kopf.OperatorRegistry,
    cache: Cache,
    queue: WorkQueue[Key],
    on_list: Callable[[], None],
) -> None:
    @kopf.on.event(resource.group, resource.version, resource.plural, id=f"watch-{resource.plural}", registry=registry)
    async def look(event: kopf.RawEvent, **_: Any) -> None:  # not async, it would run in a thread
        manifest = event["object"]
        metadata = manifest["metadata"]
        if event["type"] is None:
            on_list()
        if event["type"] == "DELETED":
            cache.drop_reported(resource.kind, manifest)
        elif not cache.put_reported(resource.kind, manifest):
            return  # an echo of our own write, or nothing that matters
        if resource is GRPORUN:
            # Of a thousand new runs the last gets its children before the first is told how its pods are.
            queue.add((metadata["namespace"], metadata["name"]), goes_first=not was_looked_at(manifest))
        else:
            queue.add_after((metadata["namespace"], metadata["labels"][RUN_LABEL]), delay_s(resource, manifest))


def delay_s(resource: Resource, manifest: Mapping[str, Any]) -> float:
    """A pod that somebody deletes while it works is looked at while it is there: a learner may be gone within a second, and
    its neighbours, which the Job controller deletes then, look the same."""
    is_deleted = resource is POD and "deletionTimestamp" in manifest["metadata"]
    return 0.0 if is_deleted and manifest["status"].get("phase") == "Running" else DEBOUNCE_S
