"""The newest weights in learner 0's host memory: once, whatever the number of versions and generators.

A version is made in the place of the last one, block by block, and what changed is kept as well: at the learning rates of
reinforcement learning, one or two in a hundred bfloat16 weights per step. Beside the model and its changes this takes a few
times BLOCK_BYTES for each thread; and a copy of a tensor for each version that somebody still reads.
"""

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy

from grpo_contract.sparse import find_changes
from grpo_contract.weights import BLOCK_BYTES, Changes, blocks
from grpo_trainer.fleet.weights import WeightServer, WeightTensor

MOST_THREADS: Final = 8
"""That compare. Training waits for them; each takes about 0.5 s per GB, of which numpy holds the interpreter's lock for little."""


class Snapshot:
    def __init__(self, server: WeightServer) -> None:
        self._server = server
        self._tensors: list[WeightTensor] = []
        self._threads = ThreadPoolExecutor(min(MOST_THREADS, len(os.sched_getaffinity(0))), "weight-changes")

    def publish(self, tensors: Iterable[WeightTensor]) -> None:
        """A new version. The data of a tensor are copied before the next one is asked for."""
        self._server.withdraw()
        in_use = self._server.in_use()
        last = {tensor.info: tensor for tensor in self._tensors}
        made, changed = [], []
        for tensor in tensors:
            if tensor.info in last:
                is_free = id(last[tensor.info].data) not in in_use
                new, changes = self._successor(last[tensor.info], tensor, is_free)
                made.append(new)
                changed.append(changes)
            else:
                made.append(_copy(tensor))
            del tensor  # or its bucket would stay in memory while the next one is gathered
        is_same_model = [tensor.info for tensor in made] == list(last)
        self._tensors = made
        self._server.publish(made, changed if is_same_model else None)

    def _successor(
        self, last: WeightTensor, tensor: WeightTensor, is_free: bool
    ) -> tuple[WeightTensor, list[Changes | None]]:
        """In its place, when that is free."""

        def update(block: slice) -> Changes | None:
            changes = find_changes(last.data[block], tensor.data[block], tensor.info.element_bytes)
            if is_free and changes is not None:
                last.data[block] = tensor.data[block]
            return changes

        changes = list(self._threads.map(update, blocks(len(tensor.data), BLOCK_BYTES)))
        if not any(changes):
            return last, changes
        return WeightTensor(tensor.info, last.data) if is_free else _copy(tensor), changes


def _copy(tensor: WeightTensor) -> WeightTensor:
    data = memoryview(numpy.empty(len(tensor.data), numpy.uint8))
    data[:] = tensor.data
    return WeightTensor(tensor.info, data)
