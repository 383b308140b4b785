"""What is made for a run: complete, owned, repaired, written once, and gone with the run."""

import pytest

from harness.kubectl import Kubectl, condition
from harness.runs import SOON_S, children, pods
from harness.waiting import wait_for
from simulated.observed import all_versions, wait_for_look
from simulated.runs import run_manifest, start_run

pytestmark = pytest.mark.usefixtures("operator")


def test_all_are_created_and_owned(kubectl: Kubectl, name: str) -> None:
    run = start_run(kubectl, name)
    made = children(kubectl, name)
    assert set(made) == {
        f"ConfigMap/{name}-config",
        f"Secret/{name}-token",
        f"PersistentVolumeClaim/{name}-volume",
        f"Service/{name}-learner",
        f"Service/{name}-generator",
        f"NetworkPolicy/{name}-learner",
        f"NetworkPolicy/{name}-generator",
        f"Deployment/{name}-generator",
        f"Job/{name}-learner-1",
    }
    for child in made.values():
        (owner,) = child["metadata"]["ownerReferences"]
        assert owner["uid"] == run["metadata"]["uid"]
        assert owner["controller"] is True
    assert run["status"]["observedGeneration"] == 1
    assert run["status"]["phase"] == "Starting"
    assert "finalizers" not in run["metadata"]
    assert not any("kopf" in annotation for annotation in run["metadata"]["annotations"])


def test_a_second_apply_writes_nothing(kubectl: Kubectl, name: str) -> None:
    start_run(kubectl, name)
    before = all_versions(kubectl, name)
    kubectl.apply(run_manifest(name))
    wait_for_look(kubectl)
    assert all_versions(kubectl, name) == before


def test_a_note_on_the_run_writes_nothing_else(kubectl: Kubectl, name: str) -> None:
    start_run(kubectl, name)
    before = all_versions(kubectl, name)
    kubectl("annotate", "grporun", name, "note=seen")
    wait_for_look(kubectl)
    after = all_versions(kubectl, name)
    assert after.pop("run") != before.pop("run")
    assert after == before


@pytest.mark.parametrize(
    "child",
    [
        "configmap/{}-config",
        "service/{}-learner",
        "networkpolicy/{}-generator",
        "deployment/{}-generator",
        "secret/{}-token",
        "job/{}-learner-1",
    ],
)
def test_a_deleted_one_comes_back(kubectl: Kubectl, name: str, child: str) -> None:
    start_run(kubectl, name)
    kind, child_name = child.format(name).split("/")
    uid = kubectl.get(kind, child_name)["metadata"]["uid"]
    kubectl("delete", kind, child_name)

    def look() -> bool:
        found = kubectl.find(kind, child_name)
        return found is not None and found["metadata"]["uid"] != uid

    wait_for(f"a new {child_name}", look, SOON_S, 0.1)


def test_a_changed_one_is_repaired(kubectl: Kubectl, name: str) -> None:
    start_run(kubectl, name)
    right = kubectl.get("configmap", f"{name}-config")["data"]
    kubectl("patch", "configmap", f"{name}-config", "--type=merge", "--patch", '{"data":{"run.json":"{}"}}')
    kubectl("scale", "deployment", f"{name}-generator", "--replicas=0")
    wait_for("the config", lambda: kubectl.get("configmap", f"{name}-config")["data"] == right, SOON_S, 0.1)
    wait_for("replicas", lambda: kubectl.get("deployment", f"{name}-generator")["spec"]["replicas"] == 2, SOON_S, 0.1)


def test_scaling_generators_leaves_running_ones_alone(kubectl: Kubectl, name: str) -> None:
    start_run(kubectl, name)
    before = {pod["metadata"]["uid"] for pod in pods(kubectl, name, "generator")}
    kubectl("scale", "grporun", name, "--replicas=3")
    wait_for(
        "a third generator", lambda: kubectl.get("grporun", name)["status"]["generators"]["ready"] == 3, SOON_S, 0.1
    )
    after = {pod["metadata"]["uid"] for pod in pods(kubectl, name, "generator")}
    assert before < after
    assert len(after) == 3


def test_deleting_the_run_removes_all(kubectl: Kubectl, name: str) -> None:
    start_run(kubectl, name)
    kubectl("delete", "grporun", name)
    wait_for("the removal of all children", lambda: not children(kubectl, name), 60)


def test_a_retained_claim_stays_and_is_taken_up_again(kubectl: Kubectl, name: str) -> None:
    storage = {"size": "1Gi", "retain": True}
    start_run(kubectl, name, storage=storage)
    claim = kubectl.get("pvc", f"{name}-volume")["metadata"]["uid"]
    kubectl("delete", "grporun", name)
    wait_for(
        "the removal of the others",
        lambda: list(children(kubectl, name)) == [f"PersistentVolumeClaim/{name}-volume"],
        60,
    )
    run = start_run(kubectl, name, storage=storage | {"size": "2Gi"})
    assert kubectl.get("pvc", f"{name}-volume")["metadata"]["uid"] == claim
    ready = condition(run, "StorageReady")
    assert ready is not None
    assert " But spec.storage.size is '2Gi', and that of the claim '1Gi': " in ready["message"]
    kubectl("delete", "grporun", name)
    kubectl("delete", "pvc", f"{name}-volume", "--wait=false")


def test_a_new_run_of_an_old_name_starts_when_the_old_one_is_gone(kubectl: Kubectl, name: str) -> None:
    start_run(kubectl, name)
    kubectl("delete", "grporun", name)
    kubectl.apply(run_manifest(name))
    uid = kubectl.get("grporun", name)["metadata"]["uid"]

    def owners() -> list[list[str]]:
        made = children(kubectl, name).values()
        return [[owner["uid"] for owner in child["metadata"]["ownerReferences"]] for child in made]

    wait_for("its own nine children", lambda: owners() == 9 * [[uid]], 60, 0.1)
