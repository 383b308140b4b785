"""Which random numbers groups are sampled with, on the way from the batch to each prompt of vLLM's."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest

from grpo_generator.seeds import seed_prompts
from grpo_trainer.fleet.seeds import seeded, seeds_of

SEEDS_OF_STEP_1 = [2743578317469428866, 1274029579299323337, 1892781550554899107]


def test_seeds_are_the_same_on_every_machine_and_in_every_attempt() -> None:
    assert seeds_of(1, "training 1", 3) == SEEDS_OF_STEP_1
    assert seeds_of(1, "training 1", 2) == SEEDS_OF_STEP_1[:2]


def test_each_group_of_each_batch_of_each_run_has_its_own() -> None:
    num_generations = 16
    batches = [(seed, name) for seed in (1, 2) for name in ("training 1", "training 11", "training 1 refill 1")]
    seeds = sorted(seed for batch in batches for seed in seeds_of(*batch, 200))
    assert seeds[0] >= 0
    assert seeds[-1] + num_generations < 2**63
    assert min(after - before for before, after in pairwise(seeds)) > num_generations
    low = sorted(seed % 2**32 for seed in seeds)  # all that torch's generator on a CPU takes of a seed
    assert min(after - before for before, after in pairwise(low)) > num_generations


@dataclass
class Params:
    seed: int | None
    extra_args: dict[str, Any] | None


@dataclass
class Client:
    seen: list[Params] = field(default_factory=list)

    async def generate(
        self, prompt: str, params: Params, request_id: str, *, priority: int = 0
    ) -> AsyncGenerator[tuple[str, int], None]:
        self.seen.append(params)
        yield prompt, priority


@pytest.fixture
def client() -> Client:
    class Patched(Client):
        generate = Client.generate

    seed_prompts(Patched)
    seed_prompts(Patched)  # vLLM calls its plugins more than once
    return Patched()


def ask(client: Client, params: Params, request_id: str) -> list[tuple[str, int]]:
    async def written() -> list[tuple[str, int]]:
        return [answer async for answer in client.generate("prompt", params, request_id, priority=3)]

    return asyncio.run(written())


def test_each_prompt_of_a_request_gets_its_seed(client: Client) -> None:
    sampling = seeded({"temperature": 1.0, "seed": 7, "vllm_xargs": {"own": "value"}}, [11, 22, 33])
    assert sampling["temperature"] == 1.0
    for place in (2, 0, 1):
        params = Params(sampling["seed"], sampling["vllm_xargs"])
        assert ask(client, params, f"cmpl-0a-1b-{place}") == [("prompt", 3)]
    assert client.seen == [Params(seed, {"own": "value"}) for seed in (33, 11, 22)]


def test_seeds_are_all_that_it_has_to_say(client: Client) -> None:
    sampling = seeded({}, [11])
    ask(client, Params(sampling["seed"], sampling["vllm_xargs"]), "cmpl-0a-0")
    assert client.seen == [Params(11, None)]


@pytest.mark.parametrize("arguments", [None, {"own": "value"}])
def test_who_says_no_seeds_gets_what_it_asks_for(client: Client, arguments: dict[str, Any] | None) -> None:
    ask(client, Params(7, arguments), "chatcmpl-0a")
    assert client.seen == [Params(7, arguments)]
