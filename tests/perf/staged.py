"""Weights on their way to the processes that keep generators' mirrors."""

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack

from grpo_contract.weights import StageAnswer, StagedWeights
from grpo_generator.staging import Staging
from grpo_trainer.fleet.weights import WeightServer


async def stage(server: WeightServer, stagings: Sequence[Staging]) -> tuple[list[StagedWeights], int]:
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
