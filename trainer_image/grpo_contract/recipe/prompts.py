"""The sentence about too few prompts, for those who are told their number before a run and for those who count them in it."""

from collections.abc import Mapping
from typing import Any

from grpo_contract.recipe import dataset_mixture


def too_few_prompts(recipe: Mapping[str, Any], found: int, needed: int) -> tuple[str, str]:
    """The field, and what is to be said of it."""
    if recipe.get(dataset_mixture.KEY) is None:
        key, who = "dataset_name", f"{recipe.get('dataset_name')!r} has"
    else:
        key, who = dataset_mixture.KEY, "it gives"
    field = f"spec.recipe.{key}"
    return field, (
        f"{field}: {who} {found} prompts, a generation batch needs {needed}; lower per_device_train_batch_size or "
        "gradient_accumulation_steps, or raise num_generations."
    )
