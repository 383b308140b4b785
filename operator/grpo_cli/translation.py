"""What acceptance refuses, old keys and moved defaults: what the contract's tables say of a recipe."""

import re
from collections.abc import Mapping
from typing import Any, Final

from grpo_cli.finding import Finding, error, note
from grpo_cli.paths import RECIPE
from grpo_contract.old_keys import Recipe
from grpo_contract.owned_keys import owned_keys
from grpo_contract.recipe_defaults import ERAS
from grpo_contract.recipe_mistakes import recipe_mistakes
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
    refused = [
        error(sentence.split()[0], sentence)  # it begins with its field
        for sentence in (*owned_keys(todays), *recipe_mistakes(todays))
    ]
    told = [note(f"{RECIPE}.{of.key}", f"{RECIPE}.{of.key}: {of.action}") for of in notes]
    return todays, [*refused, *told]


def without_effect(recipe: Mapping[str, Any], keys: Mapping[str, Schema]) -> list[Finding]:
    """`keys` as the CRD describes them."""
    descriptions = {key: keys[key]["description"] for key, value in recipe.items() if value is not None}
    return [
        note(f"{RECIPE}.{key}", f"{RECIPE}.{key}: {match[0].removesuffix(':')}.")
        for key, text in descriptions.items()
        if (match := WITHOUT_EFFECT.match(text)) and recipe.get(match[1]) is not True
    ]
