"""What compares evaluations: early stopping, the model of the best one, its checkpoints, learning rates that follow them. One
answer for all who read a recipe."""

from collections.abc import Mapping
from typing import Any, Final

from grpo_contract.recipe.callbacks import EARLY_STOPPING

STOPPING_KEYS: Final = ("early_stopping_patience", "early_stopping_threshold")
METRIC: Final = "metric_for_best_model"
LOADS_BEST: Final = "load_best_model_at_end"
BEST: Final = "best"
"""Of save_strategy."""
FOLLOWING_SCHEDULES: Final = ("reduce_lr_on_plateau", "greedy")
"""Of lr_scheduler_type."""
COMPARING: Final = ("callbacks", LOADS_BEST, "save_strategy", "lr_scheduler_type")
"""Keys that make a run compare evaluations."""
PREFIX: Final = "eval_"
"""Of an evaluation's figures, which a recipe may leave out."""
OF_A_CLOCK: Final = ("runtime", "samples_per_second", "steps_per_second", "model_preparation_time")
"""What each learner process measures for itself: they would decide differently."""


def comparison_mistake(recipe: Mapping[str, Any]) -> str | None:
    """Why evaluations cannot be compared as the recipe asks, in one sentence. transformers would compare losses where no
    metric is named; GRPO's says nothing of how good a model is."""
    stops, evaluated = EARLY_STOPPING in (recipe.get("callbacks") or []), recipe.get("eval_strategy") or "no"
    for key in () if stops else STOPPING_KEYS:
        if recipe.get(key) is not None:
            return (
                f"spec.recipe.{key} is {recipe[key]}, but spec.recipe.callbacks does not hold {EARLY_STOPPING}; add it "
                f"there, or leave {key} out."
            )
    compares = what_compares(recipe)
    if compares is None:
        return None
    if evaluated == "no":
        return (
            f"spec.recipe.{compares}, which compares evaluations, but spec.recipe.eval_strategy is 'no'; set that to steps "
            "or epoch."
        )
    if not (metric := recipe.get(METRIC)):
        return (
            f"spec.recipe.{compares}, which compares evaluations, but spec.recipe.{METRIC} does not say by what; set it, as "
            "in reward."
        )
    if metric.removeprefix(PREFIX) in OF_A_CLOCK:
        return says_nothing(metric)
    saved = recipe.get("save_strategy") or ("steps" if recipe.get("save_steps") is not None else BEST)
    if recipe.get(LOADS_BEST) and saved not in (BEST, evaluated):
        return (
            f"spec.recipe.{LOADS_BEST} is true, but spec.recipe.save_strategy is '{saved}' and spec.recipe.eval_strategy is "
            f"'{evaluated}'; set save_strategy to best or to that."
        )
    return None


def says_nothing(metric: str) -> str:
    return f"spec.recipe.{METRIC} is '{metric}', which says nothing of a model; set it to another, as in reward."


def what_compares(recipe: Mapping[str, Any]) -> str | None:
    """The first of it, in words; None: nothing does."""
    if EARLY_STOPPING in (recipe.get("callbacks") or []):
        return f"callbacks holds {EARLY_STOPPING}"
    if recipe.get(LOADS_BEST):
        return f"{LOADS_BEST} is true"
    if recipe.get("save_strategy") == BEST:
        return f"save_strategy is {BEST}"
    schedule = recipe.get("lr_scheduler_type")
    return f"lr_scheduler_type is {schedule}" if schedule in FOLLOWING_SCHEDULES else None
