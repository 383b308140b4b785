"""Every range, length, enum, pattern and required field of the spec: a manifest beyond it, and one just within."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.client import ApiServer
from harness.kubectl import Manifest
from harness.merge_patch import merge_patch

ROLES = ("learners", "generators")
CONSTRAINTS = frozenset(
    {"minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "pattern", "enum", "required",
     "x-kubernetes-list-type"}
)  # fmt: skip
LONG_VALUES = {
    "254 CHARACTERS": "x" * 254, "253 CHARACTERS": "x" * 253, "65 DIGITS": "1".zfill(65), "64 DIGITS": "1".zfill(64),
}  # fmt: skip


def read_cases() -> list[dict[str, Any]]:
    text = Path(__file__).with_name("constraints.yaml").read_text()
    for name, value in LONG_VALUES.items():
        text = text.replace(name, f'"{value}"')
    by_role = [yaml.safe_load(text.replace("ROLE", role)) for role in ROLES]
    distinct = {yaml.safe_dump(case): case for cases in by_role for case in cases}
    return list(distinct.values())


CASES = read_cases()


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['at']}-{case['constraint']}")
def test_refused_beyond_and_accepted_within(api_server: ApiServer, base_run: Manifest, case: dict[str, Any]) -> None:
    answer = api_server.try_create(merge_patch(base_run, case["refused"]))
    assert (case["field"], case["sentence"]) in answer.complaints
    neighbour = api_server.try_create(merge_patch(base_run, case["accepted"]))
    assert neighbour.accepted, neighbour.body


def test_every_constraint_has_a_case(crd: Manifest) -> None:
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    of_spec = {(at, constraint) for at, constraint in constraints_of(schema) if not at.startswith(".status")}
    assert {(case["at"], case["constraint"]) for case in CASES} == of_spec


def constraints_of(schema: dict[str, Any], at: str = "") -> Iterator[tuple[str, str]]:
    yield from ((at, constraint) for constraint in schema.keys() & CONSTRAINTS)
    inner = {f"{at}.{name}": entry for name, entry in schema.get("properties", {}).items() if at != ".spec.recipe"}
    inner |= {f"{at}[]": schema[key] for key in ("items",) if key in schema}
    inner |= {f"{at}{{}}": schema[key] for key in ("additionalProperties",) if key in schema}
    for path, entry in inner.items():
        yield from constraints_of(entry, path)
