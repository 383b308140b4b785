"""A user's mistake ends the run within a minute of the pod's start, without a restart, in one sentence."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from e2e.demo_runs import small_run
from e2e.namespaces import create_namespace
from harness.kubectl import Kubectl, condition
from harness.runs import events_of, phase, pods, wait_for_phase
from harness.waiting import wait_for

MISTAKES: dict[str, tuple[dict[str, Any], str, str]] = {
    "data-set": ({"dataset_name": "/volume/demo/none.jsonl"}, "DatasetNotFound", "/volume/demo/none.jsonl"),
    "column": ({"dataset_prompt_column": "question"}, "ColumnNotFound", "question"),
    "model": ({"model_name_or_path": "/volume/demo/none"}, "ModelNotFound", "/volume/demo/none"),
    "reward": ({"reward_funcs": ["accuracy", "nowhere:reward"]}, "RewardNotFound", "nowhere:reward"),
}


@pytest.fixture(scope="module", autouse=True)
def without_claim(cluster: Kubectl) -> Iterator[Kubectl]:
    """The namespace of a run whose claim is not there, from before the first test of this file on: claims are waited for
    half a minute."""
    kubectl = create_namespace(cluster, "e2e-without-claim")
    kubectl.apply(small_run("wrong", storage={"claimName": "nowhere"}))
    yield kubectl
    cluster("delete", "namespace", str(kubectl.namespace), "--wait=false")


@pytest.fixture(scope="module")
def wrong_runs(namespace: Kubectl) -> Kubectl:
    """Their namespace; each has the name of its mistake."""
    namespace.apply(*(small_run(mistake, recipe=recipe) for mistake, (recipe, _, _) in MISTAKES.items()))
    return namespace


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_ends_the_run(wrong_runs: Kubectl, mistake: str) -> None:
    _, reason, named = MISTAKES[mistake]
    run = wait_for_phase(wrong_runs, mistake, "Failed", 120)

    failed = condition(run, "Failed")
    assert failed is not None
    assert (failed["status"], failed["reason"]) == ("True", reason)
    assert named in failed["message"]
    assert run["status"]["attempt"] == 1
    assert run["status"]["lastFailure"]["reason"] == reason
    assert run["status"]["lastFailure"]["exitCode"] == 78
    assert any(named in line for line in run["status"]["lastFailure"]["log"])
    assert _seconds_between(run["status"]["startedAt"], run["status"]["finishedAt"]) <= 60
    notes = wait_for("the Event", lambda: notes_of(wrong_runs, mistake, reason), 30)  # it follows the status
    assert all(named in note for note in notes)


def notes_of(kubectl: Kubectl, run: str, reason: str) -> list[str]:
    return [event["note"] for event in events_of(kubectl, run) if event["reason"] == reason]


def test_claim_that_does_not_exist(without_claim: Kubectl) -> None:
    run = wait_for_phase(without_claim, "wrong", "Failed", 60)
    failed = condition(run, "Failed")
    assert failed is not None
    assert failed["reason"] == "ClaimNotFound"
    assert "nowhere" in failed["message"]
    assert _seconds_between(run["metadata"]["creationTimestamp"], run["status"]["finishedAt"]) <= 60
    assert pods(without_claim, "wrong", "learner") == []


def test_key_that_the_operator_owns(without_claim: Kubectl) -> None:
    without_claim.apply(small_run("owned", recipe={"vllm_server_host": "10.0.0.1"}))
    accepted = wait_for_condition_false(without_claim, "owned", "Accepted")
    assert "vllm_server_host" in accepted["message"]
    assert without_claim.find_all("job,deployment,service,configmap", "grpo.dev/run=owned") == []
    assert phase(without_claim.get("grporun", "owned")) == "Pending"


def wait_for_condition_false(kubectl: Kubectl, name: str, kind: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        found = condition(kubectl.get("grporun", name), kind)
        return found if found and found["status"] == "False" else None

    return wait_for(f"{kind}=False of {name}", look, 30)


def _seconds_between(earlier: str, later: str) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()
