"""The audit log of the API server as a clock: which lines count, and what is measured between them."""

import json
from typing import Any

import pytest

from perf.audit_log import Request, creations, is_for_runs, is_write, last_answer_after, parse_line, percentile

OPERATOR = "system:serviceaccount:grpo-system:operator"


def line(**fields: Any) -> str:
    """Of an apply of a Job by the operator, and the fields given instead."""
    usual = {
        "stage": "ResponseComplete",
        "user": {"username": OPERATOR},
        "verb": "patch",
        "objectRef": {"resource": "jobs", "namespace": "default", "name": "math-learner-1", "apiGroup": "batch"},
        "responseStatus": {"code": 201},
        "requestReceivedTimestamp": "2026-01-01T00:00:00.250000Z",
        "stageTimestamp": "2026-01-01T00:00:00.500000Z",
    }
    return json.dumps(usual | fields)


def request(resource: str, *, user: str = OPERATOR, code: int = 201, namespace: str = "default") -> Request:
    return Request(user, "create", resource, namespace, code, received=0, answered=1)


def timed(received: float, answered: float) -> Request:
    return Request(OPERATOR, "create", "jobs", "default", 201, received, answered)


def test_a_line_of_an_answered_request() -> None:
    start = 1767225600.0  # 2026-01-01T00:00:00Z
    assert parse_line(line()) == Request(OPERATOR, "patch", "jobs", "default", 201, start + 0.25, start + 0.5)


@pytest.mark.parametrize(
    ("fields", "resource", "namespace", "code"),
    [
        ({"objectRef": {"resource": "jobs", "subresource": "status", "namespace": "a"}}, "jobs/status", "a", 201),
        ({"objectRef": {"resource": "nodes", "name": "fake-0"}}, "nodes", "", 201),
        ({"objectRef": {"resource": "leases"}, "responseStatus": {}}, "leases", "", 0),
    ],
)
def test_parts_of_a_line_that_may_be_missing(fields: dict[str, Any], resource: str, namespace: str, code: int) -> None:
    found = parse_line(line(**fields))
    assert found is not None
    assert (found.resource, found.namespace, found.code) == (resource, namespace, code)


def test_a_path_that_is_no_resource() -> None:
    entry = json.loads(line())
    del entry["objectRef"]
    found = parse_line(json.dumps(entry))
    assert found is not None
    assert (found.resource, found.namespace) == ("", "")


@pytest.mark.parametrize("stage", ["RequestReceived", "ResponseStarted", "Panic"])
def test_other_stages_are_no_answers(stage: str) -> None:
    assert parse_line(line(stage=stage)) is None


@pytest.mark.parametrize(
    ("candidate", "counts"),
    [
        (request("jobs"), True),
        (request("jobs", code=200), False),  # an apply that found the object there
        (request("jobs", code=409), False),
        (request("jobs", user="admin"), False),
        (request("jobs", namespace="kube-system"), False),
        (request("jobs/status"), False),
        (request("pods"), False),
    ],
)
def test_creations_of_one_user(candidate: Request, counts: bool) -> None:
    assert creations([candidate], {"jobs", "secrets"}, "default", OPERATOR) == ([candidate] if counts else [])


def test_creations_of_anybody() -> None:
    requests = [request("pods", user="system:serviceaccount:kube-system:job-controller"), request("pods")]
    assert creations(requests, {"pods"}, "default") == requests


@pytest.mark.parametrize(
    ("count", "seconds"),
    [(1, 1.0), (2, 2.5), (3, None)],
)
def test_last_answer_counts_from_the_receipt(count: int, seconds: float | None) -> None:
    """In the order of the answers; what was received before does not count."""
    requests = [timed(10.5, 12.5), timed(10.1, 11.0), timed(9.9, 10.2)]
    assert last_answer_after(requests, received=10.0, count=count) == seconds


@pytest.mark.parametrize(
    ("verb", "resource", "write", "for_runs"),
    [
        ("create", "jobs", True, True),
        ("patch", "grporuns/status", True, True),
        ("update", "leases", True, False),
        ("get", "secrets", False, True),
        ("watch", "pods", False, False),
        ("deletecollection", "pods", True, True),
    ],
)
def test_kinds_of_requests(verb: str, resource: str, write: bool, for_runs: bool) -> None:
    found = Request(OPERATOR, verb, resource, "default", 200, received=0, answered=1)
    assert (is_write(found), is_for_runs(found)) == (write, for_runs)


@pytest.mark.parametrize(("share", "value"), [(0.5, 15), (0.9, 27), (0.99, 30), (1.0, 30), (0.0, 1)])
def test_percentiles_are_values_that_were_measured(share: float, value: int) -> None:
    assert percentile(list(range(30, 0, -1)), share) == value
