"""What the CRD refuses and what it accepts: the tables that the API server and `kubectl grpo check` are held against."""

import json
from pathlib import Path
from typing import Any, Final

import yaml

from grpo_operator.api.recipe_keys import read_recipe_schema
from harness.kubectl import Manifest
from harness.merge_patch import merge_patch

Case = dict[str, Any]

HERE: Final = Path(__file__).parent
ROLES: Final = ("learners", "generators")
LONG_VALUES: Final[dict[str, Any]] = {
    "254 CHARACTERS": "x" * 254, "253 CHARACTERS": "x" * 253, "65 DIGITS": "1".zfill(65), "64 DIGITS": "1".zfill(64),
    "A PATH OF 1025": "/".ljust(1025, "x"), "A PATH OF 1024": "/".ljust(1024, "x"),
    "A FUNCTION OF 254": "m:".ljust(254, "f"), "A FUNCTION OF 253": "m:".ljust(253, "f"),
    "65 FUNCTIONS": [f"m:f{number}" for number in range(65)], "64 FUNCTIONS": [f"m:f{number}" for number in range(64)],
}  # fmt: skip


def _read_constraints() -> list[Case]:
    text = (HERE / "constraints.yaml").read_text()
    for name, value in LONG_VALUES.items():
        text = text.replace(name, json.dumps(value))
    by_role = [yaml.safe_load(text.replace("ROLE", role)) for role in ROLES]
    distinct = {yaml.safe_dump(case): case for cases in by_role for case in cases}
    return list(distinct.values())


BASE: Final[Manifest] = yaml.safe_load((HERE / "base.yaml").read_text())
DEFAULTS: Final[dict[str, Any]] = {
    "recipeDefaults": "current",
    "learners": {"replicas": 1, "gpus": 1},
    "generators": {"replicas": 1, "gpus": 1, "maxStaleness": 0},
    "sampling": {"dynamic": False, "maxRounds": 3},
    "storage": {"size": "10Gi", "accessModes": ["ReadWriteMany"], "retain": False},
    "checkpoint": {"everySteps": 50, "keep": 2},
    "completions": {"maxSize": "5Gi"},
    "rewards": {"timeoutSeconds": 60, "maxErrorShare": 0.2},
    "maxRestarts": 5,
    "suspend": False,
}
"""What the API server adds to the spec of BASE."""
RULES: Final[list[Case]] = yaml.safe_load((HERE / "rules.yaml").read_text())
CREATIONS: Final = [case for case in RULES if "before" not in case]
UPDATES: Final = [case for case in RULES if "before" in case]
CONSTRAINTS: Final = _read_constraints()
RECIPES: Final[list[dict[str, Any]]] = yaml.safe_load((HERE / "recipes.yaml").read_text())

KEYS: Final[dict[str, dict[str, Any]]] = read_recipe_schema()["properties"]
SAMPLES: Final = {
    "string": "text",
    "integer": 8,
    "number": 0.5,
    "boolean": False,
    "object": {"a": {"b": [1]}},
    "array": [],
}
TYPED: Final = {key: entry["type"] for key, entry in KEYS.items() if "type" in entry}
# Exclude each other, or are judged by a rule.
RULED: Final[dict[str, Any]] = {
    "reward_funcs": ["accuracy"], "reward_weights": [1], "generation_batch_size": None, "dataset_mixture": None,
    "callbacks": ["early_stopping"], "eval_strategy": "steps", "metric_for_best_model": "eval_reward",
}  # fmt: skip


def run_with(base: Manifest, recipe: dict[str, Any]) -> Manifest:
    """Null is a value here."""
    return merge_patch(base, {"spec": {"recipe": {}}}) | {
        "spec": base["spec"] | {"recipe": base["spec"]["recipe"] | recipe}
    }


def a_value_for(entry: dict[str, Any]) -> Any:
    values = [
        *entry.get("enum", ()),
        entry.get("default"),
        entry.get("minimum"),
        SAMPLES.get(entry.get("type", "string")),
    ]
    exclusive = entry.get("exclusiveMinimum", False)
    return next(value for value in values if value is not None and not (exclusive and value == 0))


def mixture(*entries: dict[str, Any], **keys: Any) -> dict[str, Any]:
    prompts = {"dataset_name": None, "dataset_prompt_column": "c"}
    return prompts | {"dataset_mixture": {"datasets": list(entries)} | keys}


ENTRY: Final = "spec.recipe.dataset_mixture.datasets[1]"
BELOW_0: Final = f"Invalid value: 0: {ENTRY}.weight in body should be greater than 0"
ABOVE_1: Final = f"Invalid value: 1.5: {ENTRY}.weight in body should be less than or equal to 1"
NO_NAME: Final = f'Invalid value: "": {ENTRY}.id in body should be at least 1 chars long'
MANY_COLUMNS: Final = "Too many: 65: must have at most 64 items"
ENTRIES: Final[list[tuple[dict[str, Any], dict[str, Any], str, str]]] = [
    ({"weight": 0.001}, {"weight": 0}, "weight", BELOW_0),
    ({"weight": 1}, {"weight": 1.5}, "weight", ABOVE_1),
    ({}, {"id": ""}, "id", NO_NAME),
    ({}, {"id": None}, "id", "Required value"),
    ({"columns": ["c"] * 64}, {"columns": ["c"] * 65}, "columns", MANY_COLUMNS),
    (
        {"columns": ["c", "d" * 253]},
        {"columns": ["c", "d" * 254]},
        "columns[1]",
        "Too long: may not be more than 253 bytes",
    ),
]
