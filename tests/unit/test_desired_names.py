"""Names of children fit where Kubernetes puts them."""

import re

import pytest

from grpo_contract.labels import Role
from grpo_operator.desired import names
from unit.desired_inputs import children_of, make_run

LONGEST = "a" * 40  # what the CRD allows
ATTEMPT = 99999
DNS_LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
LABEL_VALUE = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")


def test_names_of_the_longest_run_are_dns_labels() -> None:
    children = children_of(make_run(LONGEST), attempt=ATTEMPT)
    found = [child["metadata"]["name"] for child in children.values()]
    assert len(found) == 9
    assert [name for name in found if not DNS_LABEL.fullmatch(name)] == []


def test_host_names_of_the_longest_runs_learners_are_dns_labels() -> None:
    """The Job controller names hosts after the Job and the pod's index, and drops no character."""
    assert DNS_LABEL.fullmatch(f"{names.learner_job(LONGEST, ATTEMPT)}-9999")


@pytest.mark.parametrize("role", [None, *Role])
def test_labels_of_the_longest_run_are_valid(role: Role | None) -> None:
    labels = names.labels_of(LONGEST, role)
    assert [value for value in labels.values() if not LABEL_VALUE.fullmatch(value)] == []


def test_names() -> None:
    assert names.learner_job("math", 3) == "math-learner-3"
    assert names.rendezvous_host("math", "team") == "math-learner.team.svc"
    assert names.generators_host("math", "team") == "math-generator.team.svc"
    assert names.labels_of("math", Role.LEARNER) == {
        "grpo.dev/run": "math",
        "grpo.dev/role": "learner",
        "app.kubernetes.io/name": "grpo-run",
        "app.kubernetes.io/instance": "math",
        "app.kubernetes.io/component": "learner",
        "app.kubernetes.io/managed-by": "grpo-operator",
    }


def test_children_of_runs_with_similar_names_differ() -> None:
    """A run may be called like another run's child."""
    run_names = ["a", "a-learner", "a-generator", "a-learner-1", "a-config"]
    references = [reference for name in run_names for reference in children_of(make_run(name))]
    assert len(set(references)) == len(references) == 9 * len(run_names)
