"""A rank of a learner whose GPU, where a number is given, runs out of memory in the step after so many; completions come
from a script, and all else is production.

exhausted_learner.py CONFIG [STEPS]
"""

import sys
from typing import Any

import torch

from grpo_trainer import worker
from grpo_trainer.fleet import generation
from grpo_trainer.learner import Learner
from trainer.scripted_learner import ScriptedGeneration

WORDS = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.11 GiB of which 1.02 GiB is free."
)
STATISTICS = " Of the allocated memory 70.00 GiB is allocated by PyTorch, and 1.00 GiB is reserved by PyTorch."

training_step = Learner.training_step


def step_or_fail(learner: Learner, *args: Any, **kwargs: Any) -> Any:
    if learner.state.global_step == int(sys.argv[2]):
        raise torch.OutOfMemoryError(WORDS + STATISTICS)
    return training_step(learner, *args, **kwargs)


if __name__ == "__main__":
    generation.FleetGeneration = ScriptedGeneration  # type: ignore[assignment, misc]
    if len(sys.argv) > 2:
        Learner.training_step = step_or_fail  # type: ignore[assignment, method-assign]
    worker.main(sys.argv[1:])
