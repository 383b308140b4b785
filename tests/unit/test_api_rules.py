"""How rules are written down in the CRD. What the API server makes of them is tested in tests/api."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from grpo_contract.rewards import BUILT_IN_REWARDS
from grpo_operator.api.cel import Rule, at_root, message_expression, present, value_of
from grpo_operator.api.crd import build_crd
from grpo_operator.api.recipe_keys import read_recipe_schema
from grpo_operator.api.rules import build_rules
from grpo_operator.api.spec import Generators, GRPORunSpec, Learners
from grpo_trainer.rewards.registry import BUILT_IN

TRL_DEFAULTS = {
    "per_device_train_batch_size": 8,
    "per_device_eval_batch_size": 8,
    "gradient_accumulation_steps": 1,
    "num_generations": 8,
    "save_steps": 500,
    "max_completion_len": 16384,
    "soft_punish_cache": 4096,
}


@pytest.mark.parametrize(
    ("sentence", "expression"),
    [
        ("a is wrong; leave it out.", "'a is wrong; leave it out.'"),
        ("a is {self.a}.", "'a is %s.'.format([self.a])"),
        ("{self.a} and '{self.b}'", "'%s and \\'%s\\''.format([self.a, self.b])"),
    ],
)
def test_message_expression(sentence: str, expression: str) -> None:
    assert message_expression(sentence) == expression


def test_null_means_absence() -> None:
    assert present("a") == "(has(self.a) && dyn(self.a) != null)"
    assert (
        value_of("a", "8", "self.recipe") == "((has(self.recipe.a) && dyn(self.recipe.a) != null) ? self.recipe.a : 8)"
    )


def test_the_batch_rules_count_with_trls_defaults() -> None:
    (rule,) = (
        rule
        for rule in build_rules(TRL_DEFAULTS | {"num_generations": 77})
        if "completions of a generation:" in rule.sentence
    )
    assert "self.spec.recipe.num_generations : 77)" in rule.rule
    assert "(self.spec.recipeDefaults == 'trl-0.14' ? 8 : 1)" in rule.rule


def test_a_rule_at_the_root_of_a_run() -> None:
    rule = Rule(
        ("spec", "recipe"), "!has(self.a) || myself.b == self.a.size()", "spec.recipe.a is {self.a}; mend it.", ".a"
    )
    assert at_root(rule, exempt="self.done") == Rule(
        (),
        "self.done || (!has(self.spec.recipe.a) || myself.b == self.spec.recipe.a.size())",
        "spec.recipe.a is {self.spec.recipe.a}; mend it.",
        ".spec.recipe.a",
    )
    assert at_root(Rule(("spec",), "has(self.b)", "b; add it."), exempt="self.done").field == ".spec"


def test_no_field_is_forgotten_when_the_run_is_frozen() -> None:
    """What may change is said here; all else is frozen."""
    frozen = {
        (*rule.at, *str(rule.field).lstrip(".").split(".")) for rule in build_rules(TRL_DEFAULTS) if rule.forbidden
    }
    pods = {
        ("spec", role, alias(model, name))
        for role, model in (("learners", Learners), ("generators", Generators))
        for name in model.model_fields
    }
    how_pods_run = {
        ("spec", role, field)
        for role in ("learners", "generators")
        for field in (
            "image", "resources", "env", "nodeSelector", "tolerations", "affinity", "priorityClassName",
            "runtimeClassName", "podTemplate",
        )
    }  # fmt: skip
    of_spec = {("spec", alias(GRPORunSpec, name)) for name in GRPORunSpec.model_fields}
    by_field = {("spec", "learners"), ("spec", "generators")}
    lasts = {
        ("spec", field) for field in ("maxRestarts", "suspend", "activeDeadlineSeconds", "ttlSecondsAfterFinished")
    }
    lasts |= {("spec", "deadlines"), ("spec", "completions")}
    may_change = {*lasts, ("spec", "generators", "replicas"), *how_pods_run}
    assert frozen == (of_spec | pods) - by_field - may_change


def alias(model: Any, name: str) -> str:
    return str(model.model_fields[name].alias)


def test_a_rule_as_the_crd_holds_it() -> None:
    crd = build_crd(read_recipe_schema())
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert {
        "rule": "has(self.gpus) == has(oldSelf.gpus) && (!has(self.gpus) || self.gpus == oldSelf.gpus)",
        "messageExpression": "'spec.generators.gpus cannot change once the run is created; delete the run "
        "and create it again, or create another under a new name.'",
        "fieldPath": ".gpus",
        "reason": "FieldValueForbidden",
    } in spec["properties"]["generators"]["x-kubernetes-validations"]


def test_every_sentence_ends_once_and_names_a_remedy() -> None:
    for rule in build_rules(TRL_DEFAULTS):
        assert rule.sentence.endswith(".")
        assert "; " in rule.sentence, rule.sentence
        assert is_one_sentence(rule), rule.sentence


def is_one_sentence(rule: Rule) -> bool:
    return ". " not in rule.sentence


def test_the_learner_has_the_reward_functions_that_the_api_server_knows() -> None:
    assert tuple(BUILT_IN) == BUILT_IN_REWARDS


# What rules call, and receivers that are no value; all of it is in the CEL of the oldest Kubernetes that the chart admits.
CEL_OF_1_30 = {
    *("all", "double", "dyn", "exists", "exists_one", "filter", "format", "has", "int", "isGreaterThan", "isQuantity"),
    *("join", "map", "matches", "quantity", "size"),
}
LIBRARIES_SINCE = {"format", "semver", "jsonpatch"}
CALL = re.compile(r"(?:([A-Za-z_]\w*)\.)?([A-Za-z_]\w*)\(")


def test_no_rule_calls_what_the_oldest_kubernetes_does_not_know() -> None:
    """Its format library (format.dns1123Subdomain()) is of 1.31, and the API server takes no CRD that calls it."""
    expressions = list(expressions_in(build_crd(read_recipe_schema())))
    assert len(expressions) > 50
    called = {call.groups() for expression in expressions for call in CALL.finditer(without_texts(expression))}
    assert {name for _, name in called} <= CEL_OF_1_30
    assert {receiver for receiver, _ in called} & LIBRARIES_SINCE == set()


def expressions_in(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for rule in node.get("x-kubernetes-validations", []):
            yield from (rule[key] for key in ("rule", "messageExpression") if key in rule)
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from expressions_in(child)


def without_texts(expression: str) -> str:
    """Its string literals emptied."""
    return re.sub(r"'(?:[^'\\]|\\.)*'", "''", expression)
