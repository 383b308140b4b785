"""What keeps a run from starting is said in a condition, and nothing is started."""

import pytest

from harness.kubectl import Kubectl
from harness.runs import SOON_S, children, wait_for_condition
from harness.waiting import wait_for
from simulated.observed import events
from simulated.runs import RECIPE, run_manifest

pytestmark = pytest.mark.usefixtures("operator")


def test_an_owned_key_starts_nothing(kubectl: Kubectl, name: str) -> None:
    kubectl.apply(run_manifest(name, recipe=RECIPE | {"deepspeed": "zero3.json"}))
    accepted = wait_for_condition(kubectl, name, "Accepted", "OwnedKey")
    assert accepted["status"] == "False"
    assert "deepspeed" in accepted["message"]
    assert kubectl.get("grporun", name)["status"]["phase"] == "Pending"
    assert children(kubectl, name) == {}
    wait_for("the Event", lambda: events(kubectl, name) == [("Warning", "OwnedKey")], SOON_S)


@pytest.mark.parametrize(("kind", "suffix"), [("secret", "token"), ("configmap", "config")])
def test_a_name_that_somebody_else_has(kubectl: Kubectl, name: str, kind: str, suffix: str) -> None:
    arguments = [kind, "generic"] if kind == "secret" else [kind]
    kubectl("create", *arguments, f"{name}-{suffix}", "--from-literal=theirs=1")
    theirs = kubectl.get(kind, f"{name}-{suffix}")
    kubectl.apply(run_manifest(name))
    accepted = wait_for_condition(kubectl, name, "Accepted", "NameTaken")
    assert f"{name}-{suffix}" in accepted["message"]
    assert kubectl.get(kind, f"{name}-{suffix}") == theirs
    kubectl("delete", kind, f"{name}-{suffix}")


def test_a_quota_is_named_and_the_run_starts_when_it_is_lifted(kubectl: Kubectl, name: str) -> None:
    kubectl("create", "quota", "no-jobs", "--hard=count/jobs.batch=0")
    wait_for("the quota", lambda: kubectl.get("quota", "no-jobs").get("status", {}).get("hard"), SOON_S)
    kubectl.apply(run_manifest(name))
    accepted = wait_for_condition(kubectl, name, "Accepted", "ChildRefused")
    assert "no-jobs" in accepted["message"]
    kubectl("delete", "quota", "no-jobs")
    # Any news of the run makes the operator look at it before its minute is over.
    kubectl("patch", "grporun", name, "--type=merge", "--patch", '{"spec":{"maxRestarts":4}}')
    assert wait_for_condition(kubectl, name, "Accepted", "Accepted")["status"] == "True"


def test_code_of_rewards_is_waited_for(kubectl: Kubectl, name: str) -> None:
    kubectl.apply(run_manifest(name, rewards={"from": [{"configMap": {"name": f"{name}-mine"}}]}))
    accepted = wait_for_condition(kubectl, name, "Accepted", "RewardCodeNotFound")
    assert accepted["message"] == (
        f"spec.rewards.from[0].configMap.name '{name}-mine': namespace 'default' has no ConfigMap of that name; create it, "
        "and the run goes on."
    )
    assert children(kubectl, name) == {}
    kubectl("create", "configmap", f"{name}-mine", "--from-literal=mine.py=")
    assert wait_for_condition(kubectl, name, "Accepted", "Accepted")["status"] == "True"
    kubectl("delete", "configmap", f"{name}-mine")
