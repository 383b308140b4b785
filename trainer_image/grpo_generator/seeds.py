"""A seed for each prompt of a request for completions, of which vLLM takes one for all of them.

vLLM's server turns each prompt into a request of its own, named after its place, before the engine sees it: there it gets its
seed. What comes of it, one for each generation, is left to vLLM.
"""

import functools
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final

from grpo_contract.network import SEEDS

MARK: Final = "_grpo_seeds"

Generate = Callable[..., AsyncGenerator[Any, None]]


def seed_prompts(engine_client: type) -> None:
    """`engine_client`, vLLM's, of whose `generate` this takes the place."""
    generate = engine_client.generate  # type: ignore[attr-defined]
    if not hasattr(generate, MARK):
        engine_client.generate = _seeding(generate)  # type: ignore[attr-defined]


def _seeding(generate: Generate) -> Generate:
    @functools.wraps(generate)
    def seeding(client: Any, prompt: Any, params: Any, request_id: str, **others: Any) -> AsyncGenerator[Any, None]:
        arguments = dict(params.extra_args or {})
        if (seeds := arguments.pop(SEEDS, None)) is not None:
            params.seed = seeds[int(request_id.rpartition("-")[2])]
            params.extra_args = arguments or None
        return generate(client, prompt, params, request_id, **others)

    setattr(seeding, MARK, True)
    return seeding
