"""Every CEL rule of the CRD: a manifest that it refuses, with the exact sentence, and a neighbour that it lets pass."""

import re
from typing import Any

import pytest

from api.client import ApiServer
from api.tables import CREATIONS, RULES, UPDATES
from grpo_operator.api.recipe_keys import read_recipe_schema, trl_defaults
from grpo_operator.api.rules import build_rules
from harness.kubectl import Manifest
from harness.merge_patch import merge_patch


def case_name(case: dict[str, Any]) -> str:
    return str(case["sentence"].partition(" ")[0])


@pytest.mark.parametrize("case", CREATIONS, ids=case_name)
def test_creation_is_refused_with_the_sentence(api_server: ApiServer, base_run: Manifest, case: dict[str, Any]) -> None:
    answer = api_server.try_create(merge_patch(base_run, case["refused"]))
    # The API server repeats the value where the rule is at a plain value, and says <nil> for the object itself.
    value = f"{case['value']}: " if "value" in case else ""
    assert answer.complaints == [(case["field"] or "<nil>", f"Invalid value: {value}{case['sentence']}")]
    neighbour = api_server.try_create(merge_patch(base_run, case["accepted"]))
    assert neighbour.accepted, neighbour.body


@pytest.mark.parametrize("case", UPDATES, ids=case_name)
def test_update_is_refused_with_the_sentence(api_server: ApiServer, base_run: Manifest, case: dict[str, Any]) -> None:
    base_run["metadata"] = {"generateName": "update-"}
    stored = api_server.create(merge_patch(base_run, case["before"]))
    if "status" in case:
        stored = api_server.patch_status(stored["metadata"]["name"], case["status"])
    base_run["metadata"] = {key: stored["metadata"][key] for key in ("name", "resourceVersion")}
    answer = api_server.try_update(merge_patch(base_run, case["refused"]))
    assert answer.complaints == [(case["field"], f"Forbidden: {case['sentence']}")]
    neighbour = api_server.try_update(merge_patch(base_run, case["accepted"]))
    assert neighbour.accepted, neighbour.body


@pytest.mark.parametrize(
    "status",
    [None, {"conditions": [{"type": "Accepted", "status": "False", "reason": "OwnedKey", "message": "Leave it out.",
                            "observedGeneration": 1, "lastTransitionTime": "2026-06-01T12:00:00Z"}]}],
    ids=["before it was looked at", "after it was refused"],
)  # fmt: skip
def test_a_recipe_that_is_not_accepted_can_be_mended(
    api_server: ApiServer, base_run: Manifest, status: dict[str, Any] | None
) -> None:
    base_run["metadata"] = {"generateName": "mended-"}
    stored = api_server.create(merge_patch(base_run, {"spec": {"recipe": {"deepspeed": "zero3.json"}}}))
    if status:
        stored = api_server.patch_status(stored["metadata"]["name"], status)
    base_run["metadata"] = {key: stored["metadata"][key] for key in ("name", "resourceVersion")}
    answer = api_server.try_update(base_run)
    assert answer.accepted, answer.body


def test_every_rule_has_a_case() -> None:
    for rule in build_rules(trl_defaults(read_recipe_schema())):
        constant_parts = [re.escape(part) for part in re.split("{.*?}", rule.sentence)]
        matching = [case for case in RULES if re.fullmatch(".*".join(constant_parts), case["sentence"])]
        assert matching, f"rules.yaml has no case for: {rule.sentence}"
