"""Runs that go on against the odds: after the end of their restarts, and after the API server lost a key of their recipe."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import yaml

from grpo_contract.progress import CheckpointProgress, Progress, Stage, Steps
from harness.kubectl import Kubectl, Manifest, condition
from harness.layout import CRD
from harness.runs import SOON_S, children, pods, wait_for_condition, wait_for_phase
from harness.waiting import wait_for
from simulated.observed import count, events
from simulated.operator_process import Operator
from simulated.progress_server import serving_progress
from simulated.runs import RECIPE, end_pod, give_address, start_run

pytestmark = pytest.mark.usefixtures("operator")

KEY = "temperature"


def training(step: int) -> Progress:
    return Progress(
        attempt=1,
        stage=Stage.TRAINING,
        progress=Steps(step=step, max_steps=1000, seconds_per_step=2.5),
        checkpoint=CheckpointProgress(step=step, time="2026-11-24T00:00:00Z"),
    )


def test_a_run_that_used_up_its_restarts_goes_on_when_there_are_more(
    kubectl: Kubectl, operator: Operator, name: str
) -> None:
    start_run(kubectl, name, maxRestarts=0)
    learner = pods(kubectl, name, "learner")[0]
    with serving_progress("127.9.5.1", training(3)) as server:
        give_address(kubectl, learner, server.address)
        wait_for_phase(kubectl, name, "Running")
    end_pod(kubectl, learner, 137, reason="OOMKilled")
    failed = condition(wait_for_phase(kubectl, name, "Failed"), "Failed")
    assert failed is not None
    assert failed["reason"] == "MaxRestartsExceeded"
    assert failed["message"].endswith(
        "Raise spec.maxRestarts to 1 or more, and the run goes on from the newest checkpoint, of step 3 or later."
    )
    wait_for("the generators' removal", lambda: kubectl.find("deployment", f"{name}-generator") is None, SOON_S)
    restarts = count(operator, "grpo_run_restarts_total", "OOMKilled")
    claim = kubectl.get("pvc", f"{name}-volume")["metadata"]["uid"]

    kubectl("patch", "grporun", name, "--type=merge", "--patch", '{"spec":{"maxRestarts":1}}')
    wait_for("attempt 2", lambda: kubectl.find("job", f"{name}-learner-2"), SOON_S, 0.1)
    wait_for_condition(kubectl, name, "LearnersReady", "AllReady")
    wait_for_condition(kubectl, name, "GeneratorsReady", "AllReady")
    run = kubectl.get("grporun", name)
    assert condition(run, "Failed") is None
    status = run["status"]
    assert "finishedAt" not in status
    assert (status["phase"], status["attempt"], status["learners"]["restarts"]) == ("Restarting", 2, 1)
    assert (status["lastFailure"]["attempt"], status["lastFailure"]["reason"]) == (1, "OOMKilled")
    assert status["checkpoint"]["step"] == 3
    assert kubectl.get("service", f"{name}-learner")["spec"]["selector"]["grpo.dev/attempt"] == "2"
    assert kubectl.get("pvc", f"{name}-volume")["metadata"]["uid"] == claim
    wait_for("the removal of attempt 1", lambda: kubectl.find("job", f"{name}-learner-1") is None, SOON_S)
    wait_for("the Event", lambda: ("Normal", "Resumed") in events(kubectl, name), SOON_S)
    assert count(operator, "grpo_run_restarts_total", "OOMKilled") == restarts + 1


def test_a_run_whose_recipe_lost_a_key_keeps_its_recipe(kubectl: Kubectl, name: str) -> None:
    start_run(kubectl, name, recipe=RECIPE | {KEY: 0.5})
    learner = pods(kubectl, name, "learner")[0]
    with serving_progress("127.9.5.2", training(3)) as server:
        give_address(kubectl, learner, server.address)
        wait_for_phase(kubectl, name, "Running")
        before = unmoved(kubectl, name)
        with without_key(kubectl):
            steps = itertools.count(4)

            def changed() -> Manifest | None:
                """Each step is a write of the status, and with it the API server stores what it has read."""
                server.progress = training(next(steps))
                accepted = condition(kubectl.get("grporun", name), "Accepted")
                return accepted if accepted and accepted["reason"] == "RecipeChanged" else None

            accepted = wait_for("condition Accepted with reason RecipeChanged", changed, 60, 0.5)
            assert accepted["status"] == "True"
            assert KEY not in kubectl.get("grporun", name)["spec"]["recipe"]
            assert unmoved(kubectl, name) == before
            assert kubectl.get("grporun", name)["status"]["phase"] == "Running"
            end_pod(kubectl, learner, 1)
            job = wait_for("attempt 2", lambda: kubectl.find("job", f"{name}-learner-2"), SOON_S, 0.1)
            digest = kubectl.get("grporun", name)["status"]["recipe"]["digest"]
            assert job["spec"]["template"]["metadata"]["annotations"]["grpo.dev/recipe"] == digest
            assert f'"{KEY}": 0.5' in kubectl.get("configmap", f"{name}-config")["data"]["run.json"]
            wait_for("the Event", lambda: ("Warning", "RecipeChanged") in events(kubectl, name), SOON_S)
    assert events(kubectl, name).count(("Warning", "RecipeChanged")) == 1


@contextmanager
def without_key(kubectl: Kubectl) -> Iterator[None]:
    """With a custom resource that does not know KEY, as an older one may be."""
    whole = CRD.read_text()
    crd = yaml.safe_load(whole)
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    del schema["properties"]["spec"]["properties"]["recipe"]["properties"][KEY]
    kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump(crd))
    try:
        yield
    finally:
        kubectl("apply", "--server-side", "-f", "-", stdin=whole)


def unmoved(kubectl: Kubectl, name: str) -> dict[str, tuple[str, int | None]]:
    """What holds the recipe: none of it is made again, or asked for otherwise."""
    found = {
        child: manifest["metadata"] for child, manifest in children(kubectl, name, "configmap,deployment,job").items()
    }
    return {child: (metadata["uid"], metadata.get("generation")) for child, metadata in found.items()}
