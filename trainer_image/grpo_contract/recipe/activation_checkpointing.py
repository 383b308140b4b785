"""What `gradient_checkpointing_kwargs` may hold: arguments of torch.utils.checkpoint.checkpoint."""

from collections.abc import Mapping
from typing import Any, Final

from grpo_contract.recipe.unknown_keys import one_of, unknown_argument

KEY: Final = "gradient_checkpointing_kwargs"
KEYS: Final = ("gradient_checkpointing", KEY)
"""Of a recipe, which decide what is a mistake."""
ARGUMENTS: Final = ("use_reentrant", "preserve_rng_state", "determinism_check", "debug", "early_stop")
"""But for `context_fn`, a function, which no recipe can hold."""


def checkpointing_mistake(recipe: Mapping[str, Any]) -> str | None:
    """In one sentence."""
    if not recipe.get("gradient_checkpointing"):
        return None
    unknown = next((name for name in recipe.get(KEY) or {} if name not in ARGUMENTS), None)
    return None if unknown is None else unknown_argument(KEY, unknown, "PyTorch", ARGUMENTS, one_of(ARGUMENTS))
