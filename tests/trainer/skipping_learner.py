"""A rank of a learner whose second update never reaches its generator, which says that it has it; all else is production.

skipping_learner.py CONFIG
"""

import sys

from grpo_trainer import worker
from grpo_trainer.fleet.generator import Generator, WeightSource
from grpo_trainer.fleet.weights import Offering

SKIPPED = 2

update = Generator._update


def update_or_skip(generator: Generator, weights: WeightSource) -> Offering:
    if generator.updates != SKIPPED:
        return update(generator, weights)
    with weights.offering() as offering:
        body = {"new_version": offering.version}
        generator._request("POST", "/update_weight_version", body, generator._deadlines.control_s)
    return offering


if __name__ == "__main__":
    Generator._update = update_or_skip  # type: ignore[assignment, method-assign]
    worker.main(sys.argv[1:])
