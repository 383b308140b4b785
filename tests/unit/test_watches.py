"""How soon news of a child lead to a look at its run."""

from typing import Any

import pytest

from grpo_operator.resources import JOB, POD, Resource
from grpo_operator.watches import DEBOUNCE_S, delay_s

DELETED = {"deletionTimestamp": "2026-11-26T12:00:00Z"}


@pytest.mark.parametrize(
    ("resource", "manifest", "expected"),
    [
        (POD, {"metadata": DELETED, "status": {"phase": "Running"}}, 0.0),
        (POD, {"metadata": DELETED, "status": {"phase": "Failed"}}, DEBOUNCE_S),
        (POD, {"metadata": DELETED, "status": {}}, DEBOUNCE_S),
        (POD, {"metadata": {}, "status": {"phase": "Running"}}, DEBOUNCE_S),
        (JOB, {"metadata": DELETED, "status": {}}, DEBOUNCE_S),
    ],
)
def test_only_a_pod_that_is_deleted_at_work_is_urgent(
    resource: Resource, manifest: dict[str, Any], expected: float
) -> None:
    assert delay_s(resource, manifest) == expected
