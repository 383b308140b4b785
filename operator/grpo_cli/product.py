"""The CRD's schema and rules, as the product itself makes them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from grpo_operator.api.cel import Rule
from grpo_operator.api.crd import build_crd
from grpo_operator.api.recipe_keys import read_recipe_schema, trl_defaults
from grpo_operator.api.rules import build_rules
from grpo_operator.api.schema import Schema


@dataclass(frozen=True)
class Product:
    schema: Schema
    """Of a whole GRPORun."""
    rules: Sequence[Rule]
    defaults: dict[str, Any]
    """Of a recipe's keys."""

    @property
    def recipe_keys(self) -> dict[str, Schema]:
        keys: dict[str, Schema] = self.schema["properties"]["spec"]["properties"]["recipe"]["properties"]
        return keys


@cache
def product() -> Product:
    recipe_schema = read_recipe_schema()
    defaults = trl_defaults(recipe_schema)
    (version,) = build_crd(recipe_schema)["spec"]["versions"]
    return Product(version["schema"]["openAPIV3Schema"], build_rules(defaults), defaults)
