"""A rank of a learner whose second update never reaches its generator, which says that it has it; all else is production.

skipping_learner.py CONFIG
"""

import sys
from collections.abc import Callable
from itertools import count

from grpo_contract.weights import StagedWeights
from grpo_trainer import worker
from grpo_trainer.fleet.update import Updating

SKIPPED = 2

swap = Updating.swap
numbers = count(1)


def swap_or_skip(updating: Updating, staged: StagedWeights, on_failure: Callable[[], None]) -> float:
    if next(numbers) != SKIPPED:
        return swap(updating, staged, on_failure)
    body = {"new_version": staged.version}
    updating._request("POST", "/update_weight_version", body, updating._deadlines.control_s)
    return 0.0


if __name__ == "__main__":
    Updating.swap = swap_or_skip  # type: ignore[method-assign, assignment]
    worker.main(sys.argv[1:])
