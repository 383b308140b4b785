"""How a batch of completions is divided into calls. A call is what one deadline holds for, and what one failure costs.

Built-in functions score each completion by itself, `length` each prompt's. A function of the user's may look at the
whole batch, and gets that in one call, unless spec.rewards.perGroup says that it needs no more than a group: such a
function, and a service, is called with whole groups, with all that are there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from grpo_contract.rewards import is_url
from grpo_trainer.rewards.prompts import places_by_prompt
from grpo_trainer.rewards.registry import BUILT_IN

COMPARE_A_PROMPTS: Final = frozenset({"length"})
"""Built-in functions that compare the completions of a prompt."""

CHUNK: Final = 8
"""Completions that go to a process at once, at least: a message costs as much time as a hundred cheap scores."""

Places = list[int]
"""Of completions in their batch."""


@dataclass(frozen=True)
class Division:
    parts: list[Places]
    """What is never divided further."""
    joins: bool = False
    """A call is for as many parts as there are: its time is not the sum of theirs."""


def divided(function: str, prompts: Sequence[Any], *, per_group: bool) -> Division:
    if per_group or is_url(function):
        return Division(places_by_prompt(prompts), joins=True)
    if function in COMPARE_A_PROMPTS:
        return Division(places_by_prompt(prompts))
    if function in BUILT_IN:
        return Division([[place] for place in range(len(prompts))])
    return Division([list(range(len(prompts)))])


def first_chunk(calls: Sequence[Places]) -> Sequence[Places]:
    """Those that go to a process together."""
    count = 0
    for number, call in enumerate(calls, start=1):
        count += len(call)
        if count >= CHUNK:
            return calls[:number]
    return calls
