"""Completions of one prompt, told by the prompt itself: reward functions are not given the group's number."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any


def places_by_prompt(prompts: Sequence[Any]) -> list[list[int]]:
    """Places in the batch, for each prompt; conversations are equal when they say the same."""
    by_prompt: dict[str, list[int]] = defaultdict(list)
    for place, prompt in enumerate(prompts):
        by_prompt[repr(prompt)].append(place)
    return list(by_prompt.values())
