"""`kubectl grpo check` and the API server are held against the same tables: what one refuses, so does the other."""

from typing import Any

import pytest

from api.tables import (
    BASE,
    CONSTRAINTS,
    CREATIONS,
    DEFAULTS,
    ENTRIES,
    ENTRY,
    KEYS,
    RECIPES,
    RULED,
    TYPED,
    UPDATES,
    a_value_for,
    mixture,
    run_with,
)
from grpo_cli.finding import Level
from grpo_cli.paths import values_at
from grpo_cli.product import product
from grpo_cli.rules import OF_CHANGES, broken_rules, value_of
from grpo_cli.stored import as_stored, as_typed
from grpo_cli.structure import misfits
from harness.kubectl import Manifest
from harness.merge_patch import merge_patch
from unit.cli_inputs import report_of, said

SCHEMA = product().schema


def complaints(run: Manifest) -> list[tuple[str, str]]:
    """What the API server would have to say, without what the operator says afterwards."""
    found = [*misfits(run, SCHEMA), *broken_rules(as_typed(as_stored(run, SCHEMA), SCHEMA), product().rules)]
    return [(finding.field, finding.sentence) for finding in found]


@pytest.mark.parametrize("case", CREATIONS, ids=lambda case: str(case["sentence"].partition(" ")[0]))
def test_a_rule_refuses_with_its_sentence(case: dict[str, Any]) -> None:
    assert complaints(merge_patch(BASE, case["refused"])) == [(case["field"], case["sentence"])]
    assert complaints(merge_patch(BASE, case["accepted"])) == []


@pytest.mark.parametrize("case", CREATIONS, ids=lambda case: str(case["sentence"].partition(" ")[0]))
def test_every_rule_has_a_value_for_a_run_that_is_accepted(case: dict[str, Any]) -> None:
    """Where the API server fails to evaluate a rule it refuses the run; here it would go unseen."""
    run = as_typed(as_stored(merge_patch(BASE, case["accepted"]), SCHEMA), SCHEMA)
    of_creation = [rule for rule in product().rules if OF_CHANGES not in rule.rule]
    values = [(rule.rule, value_of(rule.rule, of)) for rule in of_creation for _, of in values_at(run, rule.at)]
    assert [rule for rule, value in values if value is not True] == []


def test_rules_of_changes_are_told_by_what_they_look_at() -> None:
    of_changes = [rule for rule in product().rules if OF_CHANGES in rule.rule]
    assert {rule.sentence for rule in of_changes} == {case["sentence"] for case in UPDATES}
    assert all(rule.forbidden for rule in of_changes)


@pytest.mark.parametrize("case", CONSTRAINTS, ids=lambda case: f"{case['at']}-{case['constraint']}")
def test_a_constraint_refuses_beyond_and_accepts_within(case: dict[str, Any]) -> None:
    refused = report_of(merge_patch(BASE, case["refused"]))
    assert case["field"] in [field for field, _ in said(refused, Level.ERROR)]
    assert said(report_of(merge_patch(BASE, case["accepted"])), Level.ERROR) == []


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: ",".join(recipe))
def test_a_recipe_in_use_is_accepted_and_kept(recipe: dict[str, Any]) -> None:
    run = run_with(BASE, recipe)
    assert complaints(run) == []
    assert as_stored(run, SCHEMA)["spec"]["recipe"] == run["spec"]["recipe"]


def test_every_key_is_accepted_with_a_value_of_its_type() -> None:
    assert complaints(run_with(BASE, {key: a_value_for(entry) for key, entry in KEYS.items()} | RULED)) == []


def test_every_key_refuses_another_type() -> None:
    wrong = {key: "text" if kind == "object" else {} for key, kind in TYPED.items()}
    found = misfits(run_with(BASE, wrong), SCHEMA)
    assert sorted(finding.field for finding in found) == sorted(f"spec.recipe.{key}" for key in TYPED)
    secrets = {finding.field for finding in found if ", but it takes " not in finding.sentence}
    assert secrets == {"spec.recipe.hub_token", "spec.recipe.push_to_hub_token"}, "whose values are not repeated"


def test_every_enum_refuses_another_value() -> None:
    enums = {key for key, entry in KEYS.items() if "enum" in entry}
    found = misfits(run_with(BASE, dict.fromkeys(enums, "nonsense")), SCHEMA)
    assert {finding.field for finding in found} == {f"spec.recipe.{key}" for key in enums}
    assert [finding.sentence for finding in found if '"nonsense", which is none of ' not in finding.sentence] == []


@pytest.mark.parametrize(("within", "beyond", "field", "_"), ENTRIES)
def test_entries_of_a_mixture_are_bounded(within: dict[str, Any], beyond: dict[str, Any], field: str, _: str) -> None:
    entries = [{"id": "a"}, {"id": "b"}]
    found = misfits(run_with(BASE, mixture(entries[0], entries[1] | beyond)), SCHEMA)
    assert [finding.field for finding in found] == [f"{ENTRY}.{field}"]
    assert complaints(run_with(BASE, mixture(entries[0], entries[1] | within))) == []


def test_defaults_are_those_of_the_api_server() -> None:
    assert as_stored(BASE, SCHEMA)["spec"] == BASE["spec"] | DEFAULTS


def test_null_is_kept_where_it_is_allowed_and_goes_elsewhere() -> None:
    run = run_with(BASE, {"max_completion_length": None, "beta": None, "dataset_mixture": None})
    recipe = as_stored(run, SCHEMA)["spec"]["recipe"]
    assert recipe == BASE["spec"]["recipe"] | {"max_completion_length": None, "dataset_mixture": None}
