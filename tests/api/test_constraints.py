"""Every range, length, enum, pattern and required field of the spec: a manifest beyond it, and one just within."""

from collections.abc import Iterator
from typing import Any

import pytest

from api.client import ApiServer
from api.tables import CONSTRAINTS
from harness.kubectl import Manifest
from harness.merge_patch import merge_patch

KEYWORDS = frozenset(
    {"minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "pattern", "enum", "required",
     "x-kubernetes-list-type"}
)  # fmt: skip


@pytest.mark.parametrize("case", CONSTRAINTS, ids=lambda case: f"{case['at']}-{case['constraint']}")
def test_refused_beyond_and_accepted_within(api_server: ApiServer, base_run: Manifest, case: dict[str, Any]) -> None:
    answer = api_server.try_create(merge_patch(base_run, case["refused"]))
    assert (case["field"], case["sentence"]) in answer.complaints
    neighbour = api_server.try_create(merge_patch(base_run, case["accepted"]))
    assert neighbour.accepted, neighbour.body


def test_every_constraint_has_a_case(crd: Manifest) -> None:
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    of_spec = {(at, constraint) for at, constraint in constraints_of(schema) if not at.startswith(".status")}
    assert {(case["at"], case["constraint"]) for case in CONSTRAINTS} == of_spec


def constraints_of(schema: dict[str, Any], at: str = "") -> Iterator[tuple[str, str]]:
    yield from ((at, constraint) for constraint in schema.keys() & KEYWORDS)
    inner = {f"{at}.{name}": entry for name, entry in schema.get("properties", {}).items() if at != ".spec.recipe"}
    inner |= {f"{at}[]": schema[key] for key in ("items",) if key in schema}
    inner |= {f"{at}{{}}": schema[key] for key in ("additionalProperties",) if key in schema}
    for path, entry in inner.items():
        yield from constraints_of(entry, path)
