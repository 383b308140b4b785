"""What `lr_scheduler_kwargs` may hold: the arguments that transformers' function of each `lr_scheduler_type` takes."""

from collections.abc import Mapping
from typing import Any, Final

from grpo_contract.recipe.unknown_keys import one_of, unknown_argument

KEY: Final = "lr_scheduler_kwargs"
KEYS: Final = ("lr_scheduler_type", KEY)
"""Of a recipe, which decide what is a mistake."""
LINEAR: Final = "linear"
"""Where the recipe names none."""
_LEAST: Final = ("min_lr", "min_lr_rate")
_FOLLOWING: Final = ("mode", "factor", "patience", "threshold", "threshold_mode", "cooldown", "min_lr", "eps")

ARGUMENTS: Final[dict[str, tuple[str, ...]]] = {
    LINEAR: ("last_epoch",),
    "cosine": ("num_cycles", "last_epoch"),
    "cosine_with_restarts": ("num_cycles", "last_epoch"),
    "polynomial": ("lr_end", "power", "last_epoch"),
    "inverse_sqrt": ("timescale", "last_epoch"),
    "reduce_lr_on_plateau": _FOLLOWING,
    "cosine_with_min_lr": ("num_cycles", "last_epoch", *_LEAST),
    "cosine_warmup_with_min_lr": ("num_cycles", "last_epoch", *_LEAST, "warmup_lr_rate"),
    "warmup_stable_decay": (
        "num_decay_steps", "num_stable_steps", "warmup_type", "decay_type", "min_lr_ratio", "num_cycles", "last_epoch",
    ),
    "greedy": (*_FOLLOWING, "max_lr", "warmup", "verbose", "smooth", "window_size", "reset_start"),
}  # fmt: skip
"""Of `constant` and `constant_with_warmup`, transformers reads none and refuses none."""


def schedule_mistake(recipe: Mapping[str, Any]) -> str | None:
    """In one sentence."""
    schedule, given = recipe.get("lr_scheduler_type") or LINEAR, recipe.get(KEY) or {}
    if schedule not in ARGUMENTS:
        return None
    for name in given:
        if name not in ARGUMENTS[schedule]:
            return _not_taken(schedule, name)
    said = [name for name, value in given.items() if value is not None]
    return _missing(schedule, said)


def _not_taken(schedule: str, name: str) -> str:
    takes = ARGUMENTS[schedule]
    return unknown_argument(KEY, name, f"lr_scheduler_type {schedule}", takes, one_of(takes))


def _missing(schedule: str, said: list[str]) -> str | None:
    if schedule == "warmup_stable_decay" and "num_decay_steps" not in said:
        return f"spec.recipe.{KEY} holds no num_decay_steps, which lr_scheduler_type {schedule} needs; set it there."
    if set(_LEAST) <= set(ARGUMENTS[schedule]) and len(set(_LEAST) & set(said)) != 1:
        number = "both of" if set(_LEAST) <= set(said) else "neither of"
        names = " and ".join(_LEAST)
        return f"spec.recipe.{KEY} holds {number} {names}, but lr_scheduler_type {schedule} needs one of them; set one."
    return None
