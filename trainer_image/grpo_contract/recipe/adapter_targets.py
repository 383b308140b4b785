"""What `lora_target_modules` cannot be, whatever the model is. What depends on the model, the learner finds."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

KEYS: Final = ("use_peft", "lora_target_modules")
"""Of a recipe, which decide what is a mistake."""
REMEDY: Final = (
    r"name linear modules of the model, as in [q_proj, v_proj], or one alone by a pattern, as in .*\.q_proj, or "
    "all-linear"
)
"""TRL makes text of a list of one, and peft takes text for a pattern of a module's whole path."""
NOT_LINEAR: Final = "is no linear module and cannot be merged for generators"
NEVER: Final = {
    "embed_tokens": NOT_LINEAR,
    "lm_head": "is the head, whose weight TRL takes without an adapter",
}
"""{module: why not}"""
ALL_LINEAR: Final = "all-linear"
MATCHES_NO_PATH: Final = re.compile(r"[\w\s,|()-]*")
"""Patterns without anything that stands for the dot between a layer and its module."""


def targets_mistake(recipe: Mapping[str, Any]) -> str | None:
    """In one sentence."""
    modules = recipe.get("lora_target_modules")
    if recipe.get("use_peft") is not True or modules is None:
        return None
    names = modules if isinstance(modules, list) else [modules]
    reason = _reason(names)
    return None if reason is None else unsuitable_targets(modules, reason)


def unsuitable_targets(modules: Any, reason: str) -> str:
    said = json.dumps(modules, ensure_ascii=False)
    return f"spec.recipe.lora_target_modules is {said}, but {reason}; {REMEDY}."


def _reason(names: list[Any]) -> str | None:
    if not names or not all(isinstance(name, str) for name in names):
        return "it names no modules"
    for name in names:
        if (last := name.rpartition(".")[2]) in NEVER:
            return f"{last} {NEVER[last]}"
    return _reason_of_pattern(names[0]) if len(names) == 1 else None


def _reason_of_pattern(pattern: str) -> str | None:
    if pattern.lower() == ALL_LINEAR:
        return None
    if MATCHES_NO_PATH.fullmatch(pattern):
        return "text, as well as a list of one, is a pattern of a module's whole path, and none matches this one"
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        return f"text, as well as a list of one, is a pattern, which this is not ({error})"
    return None
