"""How a batch of completions is divided into calls. A call is what one deadline holds for, and what one failure costs.

Built-in functions score each completion by itself, `length` each prompt's. A function of the user's may look at the
whole batch: it gets that in one call.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from grpo_trainer.rewards.prompts import places_by_prompt
from grpo_trainer.rewards.registry import BUILT_IN

COMPARE_A_PROMPTS: Final = frozenset({"length"})
"""Built-in functions that compare the completions of a prompt."""

CHUNK: Final = 8
"""Completions that go to a process at once, at least: a message costs as much time as a hundred cheap scores."""

Places = list[int]
"""Of completions in their batch."""


def divided(function: str, prompts: Sequence[Any], count: int) -> list[Places]:
    """The calls, as places of their completions in the batch."""
    if function not in BUILT_IN:
        return [list(range(count))]
    if function not in COMPARE_A_PROMPTS:
        return [[place] for place in range(count)]
    return places_by_prompt(prompts)


def chunked(calls: Iterable[Places]) -> Iterator[list[Places]]:
    chunk: list[Places] = []
    for call in calls:
        chunk.append(call)
        if sum(map(len, chunk)) >= CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
