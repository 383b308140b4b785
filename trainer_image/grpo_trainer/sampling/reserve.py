"""Rows of the training data that take the place of others in a batch."""

from collections.abc import Iterable
from typing import Any

import numpy as np


class Reserve:
    """Its order is the batch's own: the same on all ranks, and for who makes the step again."""

    def __init__(self, dataset: Any, seed: int, number: int, prompts: Iterable[Any]) -> None:
        """Of the batch with that number, which begins with `prompts`."""
        self._dataset = dataset
        self._order = iter(np.random.default_rng([seed, number]).permutation(len(dataset)).tolist())
        self._known = {repr(prompt) for prompt in prompts}

    def take(self, count: int) -> list[int]:
        """Places in the data of prompts that the batch has not had; fewer where there are no more."""
        taken: list[int] = []
        while len(taken) < count and (place := next(self._order, None)) is not None:
            prompt = repr(self._dataset[place]["prompt"])
            if prompt not in self._known:
                self._known.add(prompt)
                taken.append(place)
        return taken
