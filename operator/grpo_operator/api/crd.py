"""The CustomResourceDefinition of GRPORun, made of the types, the recipe's schema and the rules. Pure, no I/O."""

from typing import Any, Final

from grpo_contract.labels import API_GROUP
from grpo_contract.recipe.owned_keys import OWNED_KEYS
from grpo_operator.api.cel import Path, Rule, message_expression
from grpo_operator.api.recipe_keys import trl_defaults
from grpo_operator.api.rules import build_rules
from grpo_operator.api.run import KIND, PLURAL, VERSION
from grpo_operator.api.schema import Schema, structural_schema
from grpo_operator.api.spec import GRPORunSpec
from grpo_operator.api.status import GRPORunStatus

Manifest = dict[str, Any]

SHORT_NAME: Final = "grpo"

PRINTER_COLUMNS: Final = (
    ("Phase", "string", ".status.phase", "The conditions in one word."),
    ("Step", "integer", ".status.progress.step", "Optimizer steps done."),
    ("Reward", "number", ".status.metrics.reward", "Mean reward of the last logged steps."),
    ("KL", "number", ".status.metrics.kl", "KL divergence from the reference policy; empty when beta is 0."),
    ("Loss", "number", ".status.metrics.loss", "Mean policy loss of the last logged steps."),
    ("Age", "date", ".metadata.creationTimestamp", "Time since the run was created."),
)
WIDE_COLUMNS: Final = (
    ("Recommendation", "string", ".status.recommendation", "What would shorten the steps, or free generators."),
)


def build_crd(recipe_schema: Schema) -> Manifest:
    """`recipe_schema` is the content of recipe_schema.json: properties with the key's default in TRL."""
    schema = _schema(recipe_schema["properties"])
    for rule in build_rules(trl_defaults(recipe_schema)):
        _node(schema, rule.at).setdefault("x-kubernetes-validations", []).append(_validation(rule))
    names = {
        "kind": KIND,
        "listKind": f"{KIND}List",
        "plural": PLURAL,
        "singular": KIND.lower(),
        "shortNames": [SHORT_NAME],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{API_GROUP}"},
        "spec": {"group": API_GROUP, "scope": "Namespaced", "names": names, "versions": [_version(schema)]},
    }


def _version(schema: Schema) -> Manifest:
    return {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {
            "status": {},
            "scale": {
                "specReplicasPath": ".spec.generators.replicas",
                "statusReplicasPath": ".status.generators.replicas",
                "labelSelectorPath": ".status.generators.selector",
            },
        },
        "additionalPrinterColumns": [
            {"name": name, "type": kind, "jsonPath": path, "description": description} | priority
            for columns, priority in ((PRINTER_COLUMNS, {}), (WIDE_COLUMNS, {"priority": 1}))
            for name, kind, path, description in columns
        ],
        "schema": {"openAPIV3Schema": schema},
    }


def _schema(recipe_properties: dict[str, Schema]) -> Schema:
    spec = structural_schema(GRPORunSpec, defaults=True)
    recipe = spec["properties"]["recipe"]
    spec["properties"]["recipe"] = {
        "type": "object",
        "description": recipe["description"],
        # Closed: a key that is not listed is an unknown field.
        "properties": {key: _recipe_key(key, entry) for key, entry in recipe_properties.items()},
    }
    return {
        "type": "object",
        "description": "One GRPO training run: vLLM generators write completions, ZeRO-3 learners learn from them.",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": structural_schema(GRPORunStatus, defaults=False),
        },
    }


def _recipe_key(key: str, entry: Schema) -> Schema:
    """TRL's default becomes text: filled in, it would turn "not said" into "said", and outlive its version of TRL."""
    schema = {name: value for name, value in entry.items() if name != "default"}
    sentences = [entry["description"]]
    if "default" in entry:
        sentences.append(f"TRL's default: {_as_text(entry['default'])}.")
    if key in OWNED_KEYS and OWNED_KEYS[key].own_form is None:
        sentences.append(f"Not the recipe's to set: {OWNED_KEYS[key].reason}.")
    return schema | {"description": " ".join(sentences)}


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if value != "" else "empty"


def _node(schema: Schema, path: Path) -> Schema:
    for name in path:
        schema = schema["items"] if name == "[]" else schema["properties"][name]
    return schema


def _validation(rule: Rule) -> Schema:
    entry = {"rule": rule.rule, "messageExpression": message_expression(rule.sentence)}
    if rule.field is not None:
        entry["fieldPath"] = rule.field
    if rule.forbidden:
        entry["reason"] = "FieldValueForbidden"
    return entry
