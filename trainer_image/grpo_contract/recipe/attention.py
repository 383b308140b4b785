"""What `attn_implementation` may be: a name of transformers', or a repository of the hub that holds a kernel."""

from collections.abc import Mapping
from difflib import SequenceMatcher
from typing import Any, Final

KEY: Final = "attn_implementation"
KEYS: Final = (KEY, "trust_remote_code")
"""Of a recipe, which decide what is a mistake."""
IMPLEMENTATIONS: Final = (
    "sdpa", "eager", "flex_attention", "flash_attention_2", "flash_attention_3", "flash_attention_4",
    "paged|sdpa", "paged|eager", "paged|flash_attention_2", "paged|flash_attention_3", "paged|flash_attention_4",
)  # fmt: skip
"""Of those that are as near to a wrong name, the first is meant."""
_NEAR: Final = 0.6
"""What difflib takes for a close match."""


def attention_mistake(recipe: Mapping[str, Any]) -> str | None:
    """In one sentence. Code that a model brings along may register names of its own."""
    name = recipe.get(KEY)
    if name is None or name in IMPLEMENTATIONS or "/" in name or recipe.get("trust_remote_code"):
        return None
    nearest = max(IMPLEMENTATIONS, key=lambda known: _likeness(known, name))
    remedy = f"did you mean {nearest}?" if _likeness(nearest, name) >= _NEAR else "set it to sdpa, or leave it out."
    return f"spec.recipe.{KEY} is '{name}', which transformers does not know; {remedy}"


def _likeness(known: str, name: str) -> float:
    return SequenceMatcher(None, known, name).ratio()
