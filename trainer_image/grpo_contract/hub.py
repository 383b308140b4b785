"""Keys of a recipe that push to the hub."""

from collections.abc import Mapping
from typing import Any, Final

from grpo_contract.recipe.callbacks import REVISION_CALLBACK

_PUSH_KEYS: Final = ("push_to_hub", "push_to_hub_revision")
KEYS: Final = (*_PUSH_KEYS, "callbacks")
"""Of a recipe, which decide whether it pushes."""


def pushes(recipe: Mapping[str, Any]) -> str | None:
    """The key that says so; None: nothing is pushed."""
    has_callback = REVISION_CALLBACK in (recipe.get("callbacks") or [])
    return next((key for key in _PUSH_KEYS if recipe.get(key)), "callbacks" if has_callback else None)
