"""Puts the operator together and runs it until it is told to stop."""

import asyncio
import logging
import signal
import socket
import uuid
from collections.abc import Coroutine
from functools import partial
from typing import Any

import aiohttp
import kopf

from grpo_operator.cache import Cache, Key
from grpo_operator.controller import Controller
from grpo_operator.health import ailment
from grpo_operator.kube import Kube, connect
from grpo_operator.leader import Election
from grpo_operator.listing import Lister, insist
from grpo_operator.metrics import OperatorMetrics
from grpo_operator.progress import ProgressReader
from grpo_operator.resources import GRPORUN
from grpo_operator.serving import serve
from grpo_operator.settings import Settings
from grpo_operator.watches import build_registry, watch_settings
from grpo_operator.workqueue import WorkQueue

logger = logging.getLogger(__name__)


class MissingApiError(Exception):
    """The cluster does not know GRPORuns: kopf would wait for them without a word."""


async def operate(settings: Settings, port: int) -> None:
    """Returns after SIGTERM or SIGINT. Raises when this process can work no more, and a new one may."""
    cache, queue = Cache(), WorkQueue[Key]()
    metrics = OperatorMetrics(cache.accounts, lambda: queue.depth, lambda: election.is_leading)
    identity = f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"
    async with connect(metrics.answered) as kube, aiohttp.ClientSession() as session:
        reader = ProgressReader(session, settings.progress_interval_s)
        election = Election(kube, settings.operator_namespace, settings.lease_name, identity)
        guarded = kube.guarded(election.require_lease)
        controller = Controller(guarded, settings, cache, queue, reader, metrics, identity)
        lister = Lister(kube, cache, queue, settings.watch_namespaces)
        async with serve(metrics.text, lambda: ailment(queue, cache, election.is_leading), port):
            await insist(partial(_require_api, kube, settings))
            await lister.fill()
            registry = build_registry(cache, queue, lister.heard_of_list)
            watching = await _start_watching(registry, settings)
            await _until_first_ends(
                watching, lister.sweep_for_ever(settings.full_pass_s), election.lead(controller.run)
            )


async def _require_api(kube: Kube, settings: Settings) -> None:
    namespace = settings.watch_namespaces[0] if settings.watch_namespaces else None
    if not await kube.exists(GRPORUN, namespace):
        raise MissingApiError(f"The cluster has no {GRPORUN.plural}.{GRPORUN.group}: apply the chart's crds/ folder.")


async def _start_watching(registry: kopf.OperatorRegistry, settings: Settings) -> Coroutine[Any, Any, None]:
    """kopf's tasks, started; what is returned ends when one of them does."""
    before = asyncio.all_tasks()
    tasks = await kopf.spawn_tasks(
        registry=registry,
        settings=watch_settings(),
        standalone=True,
        clusterwide=not settings.watch_namespaces,
        namespaces=settings.watch_namespaces,
    )
    return kopf.run_tasks(tasks, ignored=before)


async def _until_first_ends(*work: Coroutine[Any, Any, None]) -> None:
    """All of it goes on for ever: whatever ends first ends the rest, a signal in good order, all else as an error."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)  # kopf has set its own, which is slower
    tasks = [asyncio.create_task(coroutine) for coroutine in (stopped.wait(), *work)]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    logger.info("stopping, %s", "as told" if stopped.is_set() else "because a part has ended")
    # Last comes first: when kopf ends, it cancels whatever else runs, and the lease would not be given back.
    for task in reversed(tasks):
        task.cancel()
        await asyncio.wait([task])
    for task in done:
        task.result()
