"""lr_scheduler_kwargs that transformers' schedule refuses, and neighbours that it takes."""

from typing import Any

import pytest

from grpo_contract.recipe.schedules import schedule_mistake

REFUSED: list[tuple[str | None, dict[str, Any] | None, str]] = [
    (
        None,
        {"min_lr_rate": 0.1},
        "holds min_lr_rate, which lr_scheduler_type linear does not take; use last_epoch, or leave it out.",
    ),
    (
        "cosine",
        {"min_lr": 1e-7},
        "holds min_lr, which lr_scheduler_type cosine does not take; use num_cycles, last_epoch, or leave it out.",
    ),
    (
        "cosine",
        {"num_cycle": 1},
        "holds num_cycle, which lr_scheduler_type cosine does not take; did you mean num_cycles? Else leave it out.",
    ),
    (
        "cosine_with_min_lr",
        {"num_warmup_steps": 10, "min_lr_rate": 0.1},
        "holds num_warmup_steps, which lr_scheduler_type cosine_with_min_lr does not take; use num_cycles, last_epoch, min_lr, "
        "min_lr_rate, or leave it out.",
    ),
    (
        "cosine_with_min_lr",
        None,
        "holds neither of min_lr and min_lr_rate, but lr_scheduler_type cosine_with_min_lr needs one of them; set one.",
    ),
    (
        "cosine_with_min_lr",
        {"min_lr": None},
        "holds neither of min_lr and min_lr_rate, but lr_scheduler_type cosine_with_min_lr needs one of them; set one.",
    ),
    (
        "cosine_warmup_with_min_lr",
        {"min_lr": 1e-8, "min_lr_rate": 0.1},
        "holds both of min_lr and min_lr_rate, but lr_scheduler_type cosine_warmup_with_min_lr needs one of them; set one.",
    ),
    (
        "warmup_stable_decay",
        {"num_stable_steps": 10},
        "holds no num_decay_steps, which lr_scheduler_type warmup_stable_decay needs; set it there.",
    ),
    (
        "reduce_lr_on_plateau",
        {"last_epoch": 3},
        "holds last_epoch, which lr_scheduler_type reduce_lr_on_plateau does not take; use mode, factor, patience, threshold, "
        "threshold_mode, cooldown, min_lr, eps, or leave it out.",
    ),
]
TAKEN: list[tuple[str | None, dict[str, Any] | None]] = [
    (None, None),
    (None, {}),
    ("cosine", {"num_cycles": 1}),
    ("cosine_with_min_lr", {"min_lr_rate": 0.1}),
    ("cosine_with_min_lr", {"min_lr": 1e-7, "min_lr_rate": None}),
    ("cosine_warmup_with_min_lr", {"min_lr_rate": 0.1, "warmup_lr_rate": 0.01}),
    ("warmup_stable_decay", {"num_decay_steps": 10, "decay_type": "1-sqrt"}),
    ("reduce_lr_on_plateau", {"factor": 0.5}),
    ("greedy", {"max_lr": 1e-5}),
    ("constant", {"anything": 1}),
]


def recipe_of(schedule: str | None, arguments: dict[str, Any] | None) -> dict[str, Any]:
    return {"lr_scheduler_type": schedule, "lr_scheduler_kwargs": arguments}


@pytest.mark.parametrize(("schedule", "arguments", "sentence"), REFUSED)
def test_arguments_that_a_schedule_refuses(schedule: str, arguments: dict[str, Any], sentence: str) -> None:
    assert schedule_mistake(recipe_of(schedule, arguments)) == f"spec.recipe.lr_scheduler_kwargs {sentence}"


@pytest.mark.parametrize(("schedule", "arguments"), TAKEN)
def test_arguments_that_it_takes(schedule: str, arguments: dict[str, Any]) -> None:
    assert schedule_mistake(recipe_of(schedule, arguments)) is None
