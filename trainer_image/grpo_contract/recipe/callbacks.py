"""What `callbacks` of a recipe may name."""

from collections.abc import Mapping
from typing import Any, Final

from grpo_contract.failure import PodReason, UserError

REVISION_CALLBACK: Final = "push_to_hub_revision"
"""Open-R1's one callback."""
EARLY_STOPPING: Final = "early_stopping"
"""transformers' EarlyStoppingCallback. Its arguments are keys of the recipe, under their own names."""
CALLBACKS: Final = (REVISION_CALLBACK, EARLY_STOPPING)


def callbacks_of(recipe: Mapping[str, Any]) -> list[str]:
    """
    Raises:
        UserError: a name that is no callback.
    """
    callbacks = recipe.get("callbacks") or []
    for name in callbacks:
        if name not in CALLBACKS:
            raise UserError(
                PodReason.INVALID_RECIPE,
                f"spec.recipe.callbacks holds {name!r}, which is none of {', '.join(CALLBACKS)}; remove it.",
            )
    return list(callbacks)
