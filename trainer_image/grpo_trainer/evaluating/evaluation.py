"""Evaluations: what is checked before one, and what keeps it from touching training.

TRL evaluates: a batch of rows at a time, each with num_generations_eval completions of the generators, under the weights of
the step. A last batch that is not whole is filled up with the first rows, which count twice then, as with TRL.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from grpo_contract.failure import PodReason, UserError
from grpo_contract.recipe.dataset_mixture import read_mixture
from grpo_contract.recipe.evaluation import group_does_not_fit, nothing_kept_out, too_few_rows
from grpo_trainer.instruments.mismatch import SamplerMismatch
from grpo_trainer.instruments.phases import PhaseClock
from grpo_trainer.light_trl import GRPOConfig
from grpo_trainer.random_state import RandomState
from grpo_trainer.recipe import Recipe

KEPT = ("clock", "mismatch", "tokens", "log_completions", "_logs")
"""What a learner says of its training."""


def check_evaluation(recipe: Recipe) -> None:
    """What is known before data is loaded.

    Raises:
        UserError: the recipe asks for evaluations that cannot be made.
    """
    if recipe.evaluates is None:
        return
    mixture = read_mixture(vars(recipe.script))
    if mixture is not None and mixture.test_split_size is None:
        raise UserError(PodReason.INVALID_RECIPE, nothing_kept_out(recipe.evaluates))
    arguments, group = recipe.training, group_of(recipe.training)
    if arguments.eval_batch_size * arguments.world_size % group:
        sentence = group_does_not_fit(group, arguments.world_size, arguments.eval_batch_size)
        raise UserError(PodReason.INVALID_RECIPE, sentence)


def check_rows(found: int, arguments: GRPOConfig) -> None:
    """
    Raises:
        UserError: there are too few rows for an evaluation.
    """
    batch: int = arguments.eval_batch_size * arguments.world_size // group_of(arguments)
    needed = batch if arguments.dataloader_drop_last else 1
    if found < needed:
        raise UserError(PodReason.INVALID_RECIPE, too_few_rows(found, needed))


def group_of(arguments: GRPOConfig) -> int:
    group: int = arguments.num_generations_eval or arguments.num_generations
    return group


@contextmanager
def apart_from_training(learner: Any) -> Iterator[None]:
    """Training goes on as if there were nothing inside: with its own random numbers, and what it says of itself."""
    kept = {name: getattr(learner, name) for name in KEPT}
    learner.clock = PhaseClock()
    learner.mismatch = SamplerMismatch()
    learner.tokens = dict(learner.tokens)
    learner.log_completions = False  # TRL would write them over the file of the step's
    learner._logs = copy.deepcopy(learner._logs)
    try:
        with random_state_kept():
            yield
    finally:
        for name, value in kept.items():
            setattr(learner, name, value)


@contextmanager
def at_step(learner: Any, step: int) -> Iterator[None]:
    """An evaluation of the weights of that step is told as of it, and generators get them as those of another step."""
    made, learner.state.global_step = learner.state.global_step, step
    try:
        yield
    finally:
        learner.state.global_step = made


@contextmanager
def random_state_kept() -> Iterator[None]:
    """A data loader draws a seed from torch when it is read, and a model with dropout draws more."""
    before = RandomState()
    try:
        yield
    finally:
        before.restore()
