"""The contract's table of schedules against transformers itself."""

import inspect
from typing import Any

import pytest
import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau
from transformers import get_scheduler
from transformers.optimization import TYPE_TO_SCHEDULER_FUNCTION, GreedyLR

from grpo_contract.recipe.schedules import ARGUMENTS
from grpo_trainer.light_trl import GRPOConfig
from unit.test_schedules import REFUSED, TAKEN

CONSTANT = {"constant", "constant_with_warmup"}
BEHIND = {"reduce_lr_on_plateau": ReduceLROnPlateau, "greedy": GreedyLR}
GIVEN = {"optimizer", "num_warmup_steps", "num_training_steps"}
"""By transformers' Trainer."""


def made(schedule: str | None, arguments: dict[str, Any] | None) -> Any:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1e-6)
    name = schedule or GRPOConfig.lr_scheduler_type
    return get_scheduler(
        name, optimizer, num_warmup_steps=1, num_training_steps=20, scheduler_specific_kwargs=arguments
    )


def test_the_table_has_the_arguments_of_each_schedule() -> None:
    functions = {kind.value: BEHIND.get(kind.value, make) for kind, make in TYPE_TO_SCHEDULER_FUNCTION.items()}
    assert {name: set(takes) for name, takes in ARGUMENTS.items()} == {
        name: inspect.signature(make).parameters.keys() - GIVEN
        for name, make in functions.items()
        if name not in CONSTANT
    }


@pytest.mark.parametrize(("schedule", "arguments", "_"), REFUSED)
def test_what_is_refused_transformers_refuses(schedule: str, arguments: dict[str, Any], _: str) -> None:
    with pytest.raises((TypeError, ValueError)):
        made(schedule, arguments)


@pytest.mark.parametrize(("schedule", "arguments"), TAKEN)
def test_what_is_taken_it_takes(schedule: str, arguments: dict[str, Any]) -> None:
    assert made(schedule, arguments) is not None
