"""The recipe's keys as TRL declares them: recipe_schema.json, which `make generate` writes and the package carries."""

import json
from functools import cache
from pathlib import Path
from typing import Any, Final

from grpo_operator.api.schema import Schema

FILE: Final = Path(__file__).with_name("recipe_schema.json")


def read_recipe_schema() -> Schema:
    """What was built last, for those who have no TRL at hand."""
    content: Schema = json.loads(FILE.read_text(encoding="utf-8"))
    return content


def trl_defaults(recipe_schema: Schema) -> dict[str, Any]:
    """What TRL, or Open-R1, does where a recipe is silent."""
    return {key: entry["default"] for key, entry in recipe_schema["properties"].items() if "default" in entry}


@cache
def released_defaults() -> dict[str, Any]:
    """Of the TRL that this release is of."""
    return trl_defaults(read_recipe_schema())
