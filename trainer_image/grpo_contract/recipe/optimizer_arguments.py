"""How transformers reads `optim_args`."""

from collections.abc import Mapping
from typing import Any, Final

KEY: Final = "optim_args"
KEYS: Final = (KEY,)
"""Of a recipe, which decide what is a mistake."""


def optimizer_mistake(recipe: Mapping[str, Any]) -> str | None:
    """In one sentence."""
    text = recipe.get(KEY)
    if not text or all(part.count("=") == 1 for part in text.split(",")):
        return None
    return f"spec.recipe.{KEY} is '{text}', but it takes key=value, with a comma between two; write it as in rank=64,scale=0.25."
