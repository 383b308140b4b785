"""What a group is sampled with: the same random numbers whichever generator writes it, in whichever request, attempt or world
size it is asked for.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from grpo_contract.network import SEEDS

SEED_BITS: Final = 62
"""vLLM takes 64 with a sign, and adds the number of the generation."""


def seeds_of(run_seed: int, batch: str, num_groups: int) -> list[int]:
    """Of the groups of a batch, by their places in it. `batch` is the same name for who makes its step again."""
    return [_seed(f"{run_seed}/{batch}/{place}") for place in range(num_groups)]


def _seed(name: str) -> int:
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return int.from_bytes(digest) >> 64 - SEED_BITS


def seeded(sampling: Mapping[str, Any], seeds: Sequence[int]) -> dict[str, Any]:
    """Fields of a request for prompts with these seeds. vLLM's own field is one seed for all prompts: they would draw the same
    numbers, and what is written to one would say something of what is written to another."""
    others = sampling.get("vllm_xargs") or {}
    return {**sampling, "seed": seeds[0], "vllm_xargs": {**others, SEEDS: list(seeds)}}
