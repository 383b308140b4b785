"""Weights on their way to the processes that keep generators' mirrors."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from grpo_contract.weights import StageAnswer, StagedWeights
from grpo_generator.staging import Staging
from grpo_trainer.fleet.update import Update
from grpo_trainer.fleet.weights import WeightServer


async def update(
    server: WeightServer, stagings: Sequence[Staging], loads: Sequence[Callable[[StagedWeights], float]]
) -> Update:
    """Of all generators at once, each of which loads in its own way and says in how many seconds; the pause is that of the
    slowest."""
    started = time.perf_counter()
    staged, size_bytes = await _stage(server, stagings)
    with ThreadPoolExecutor(len(stagings)) as pool:
        pause_s = max(pool.map(lambda load, weights: load(weights), loads, staged))
    return Update(staged[0].version, time.perf_counter() - started, pause_s, size_bytes)


async def _stage(server: WeightServer, stagings: Sequence[Staging]) -> tuple[list[StagedWeights], int]:
    """In all of them at once; and the bytes for one."""
    with ExitStack() as offers:
        offerings = [offers.enter_context(server.offering()) for _ in stagings]
        orders = [offering.offer.model_dump_json().encode() for offering in offerings]
        answers = await asyncio.gather(*(staging.stage(order) for staging, order in zip(stagings, orders, strict=True)))
    staged = [
        StagedWeights(
            path=StageAnswer.model_validate_json(answer).path, version=offering.version, tensors=offering.offer.tensors
        )
        for answer, offering in zip(answers, offerings, strict=True)
    ]
    return staged, offerings[0].sent_bytes
