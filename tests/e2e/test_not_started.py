"""Runs that nothing is started for: the sentence is on the object. They need neither base model nor data."""

from collections.abc import Iterator

import pytest

from harness.demo_runs import small_run
from harness.kubectl import Kubectl, condition
from harness.namespaces import create_namespace
from harness.runs import phase, pods, seconds_between, wait_for_condition, wait_for_phase


@pytest.fixture(scope="module")
def without_claim(cluster: Kubectl) -> Iterator[Kubectl]:
    """The namespace of a run whose claim is not there."""
    kubectl = create_namespace(cluster, "e2e-without-claim")
    kubectl.apply(small_run("wrong", storage={"claimName": "nowhere"}))
    yield kubectl
    cluster("delete", "namespace", str(kubectl.namespace), "--wait=false")


def test_claim_that_does_not_exist(without_claim: Kubectl) -> None:
    run = wait_for_phase(without_claim, "wrong", "Failed", 60)
    failed = condition(run, "Failed")
    assert failed is not None
    assert failed["reason"] == "ClaimNotFound"
    assert "nowhere" in failed["message"]
    assert seconds_between(run["metadata"]["creationTimestamp"], run["status"]["finishedAt"]) <= 60
    assert pods(without_claim, "wrong", "learner") == []


def test_key_that_the_operator_owns(without_claim: Kubectl) -> None:
    without_claim.apply(small_run("owned", recipe={"vllm_server_host": "10.0.0.1"}))
    accepted = wait_for_condition(without_claim, "owned", "Accepted", "OwnedKey")
    assert "vllm_server_host" in accepted["message"]
    assert without_claim.find_all("job,deployment,service,configmap", "grpo.dev/run=owned") == []
    assert phase(without_claim.get("grporun", "owned")) == "Pending"
