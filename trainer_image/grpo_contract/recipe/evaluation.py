"""Whether and how a recipe evaluates, for those who read it before a run and for those who do it."""

from collections.abc import Mapping
from typing import Any, Final

from grpo_contract.recipe import dataset_mixture

MOST_STREAMED_ROWS: Final = 20_000
"""To evaluate on. Every learner process holds them: at 50 kB a row, a long solution, 1 GB."""


def evaluates(recipe: Mapping[str, Any]) -> str | None:
    """The key that says so; None: nothing is evaluated. transformers takes a strategy for do_eval as well."""
    if recipe.get("eval_strategy") not in (None, "no"):
        return "eval_strategy"
    return next((key for key in ("eval_on_start", "do_eval") if recipe.get(key)), None)


def evaluates_trained_model(recipe: Mapping[str, Any]) -> bool:
    """Once more when training is over, as transformers' do_eval."""
    return recipe.get("eval_strategy") not in (None, "no") or bool(recipe.get("do_eval"))


def group_does_not_fit(group: int, processes: int, per_device: int) -> str:
    return (
        f"spec.recipe.num_generations_eval is {group} (num_generations where it is left out), which does not divide the "
        f"{processes * per_device} completions of an evaluation batch: {processes} learner processes x "
        f"per_device_eval_batch_size {per_device}; change one of them."
    )


def nothing_kept_out(key: str) -> str:
    return (
        f"spec.recipe.{key} asks for an evaluation, but spec.recipe.{dataset_mixture.KEY} keeps no rows out of training; set "
        f"test_split_size in it, or leave {key} out."
    )


def too_few_rows(found: int, needed: int) -> str:
    why = ", since dataloader_drop_last leaves out a batch that is not whole" if needed > 1 else ""
    return (
        f"spec.recipe.dataset_test_split: there are {found} rows to evaluate on, and {needed} are needed{why}; give it a split "
        "with more rows, or raise test_split_size of dataset_mixture."
    )


def too_many_streamed_rows(split: str) -> str:
    return (
        f"spec.recipe.dataset_test_split is {split!r}, which has more than {MOST_STREAMED_ROWS} rows, and those of a data set "
        "that is streamed are held in memory; name a smaller split, or leave dataset_streaming out."
    )
