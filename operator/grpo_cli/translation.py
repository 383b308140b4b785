"""What acceptance refuses, old keys and moved defaults: what the contract's tables say of a recipe."""

import re
from collections.abc import Collection, Mapping
from typing import Any, Final

from grpo_cli.finding import Finding, error, note
from grpo_cli.paths import RECIPE
from grpo_contract.recipe.defaults import ERAS
from grpo_contract.recipe.mistakes import recipe_mistakes
from grpo_contract.recipe.old_keys import OLD_KEYS, Recipe
from grpo_contract.recipe.owned_keys import owned_keys
from grpo_operator.api.schema import Schema
from grpo_operator.api.spec import GRPORunSpec
from grpo_operator.desired.recipe import todays_recipe

WITHOUT_EFFECT: Final = re.compile(r"Without effect while (\w+) is false:")
"""How the CRD describes keys that matter only while another one is true."""


def translated(recipe: dict[str, Any], recipe_defaults: Any) -> tuple[Recipe, list[Finding]]:
    """The recipe as learners and generators get it, and what there is to say of the way there.

    `recipe` holds only values that the CRD takes; `recipe_defaults` may be anything.
    """
    era = next((era for era in ERAS if era == recipe_defaults), "current")
    spec = GRPORunSpec.model_validate({"recipe": recipe, "recipeDefaults": era, "storage": {}})
    todays, notes = todays_recipe(spec)
    return todays, [note(f"{RECIPE}.{of.key}", f"{RECIPE}.{of.key}: {of.action}") for of in notes]


def not_accepted(todays: Recipe, defaults: Mapping[str, Any], refused: Collection[str]) -> list[Finding]:
    """What the operator would say of a recipe that the API server takes. `refused`: keys whose values it does not take, and
    which are left out."""
    missing = {name for key in refused for name in (key, _todays_name(key)) if name is not None}
    sentences = (*owned_keys(todays), *recipe_mistakes(todays, defaults, missing))
    return [error(sentence.split()[0], sentence) for sentence in sentences]  # it begins with its field


def _todays_name(key: str) -> str | None:
    return OLD_KEYS[key].becomes if key in OLD_KEYS else None


def without_effect(recipe: Mapping[str, Any], keys: Mapping[str, Schema]) -> list[Finding]:
    """`keys` as the CRD describes them."""
    descriptions = {key: keys[key]["description"] for key, value in recipe.items() if value is not None}
    return [
        note(f"{RECIPE}.{key}", f"{RECIPE}.{key}: {match[0].removesuffix(':')}.")
        for key, text in descriptions.items()
        if (match := WITHOUT_EFFECT.match(text)) and recipe.get(match[1]) is not True
    ]
