"""Runs that are suspended and go on, that have a limit to their time, and that go by themselves after their end."""

import json
from datetime import UTC, datetime

import pytest

from grpo_contract.progress import CheckpointProgress, Progress, Stage, Steps
from harness.kubectl import Kubectl, condition
from harness.runs import SOON_S, children, hold, phase, pods, release, wait_for_phase, wait_until_all_ready
from harness.waiting import wait_for
from simulated.observed import count, events, kept, makers
from simulated.operator_process import Operator
from simulated.progress_server import serving_progress
from simulated.runs import change, end_pod, give_address, run_manifest, start_run, volume

TRAINING = Progress(
    attempt=1,
    stage=Stage.TRAINING,
    progress=Steps(step=3, max_steps=1000, seconds_per_step=2.5),
    checkpoint=CheckpointProgress(step=3, time="2026-11-24T00:00:00Z"),
)


def test_a_run_is_suspended_while_it_trains_and_goes_on(kubectl: Kubectl, operator: Operator, name: str) -> None:
    start_run(kubectl, name)
    first, second = pods(kubectl, name, "learner")
    before = kept(kubectl, name)
    restarts = count(operator, "grpo_run_restarts_total")
    with serving_progress("127.9.7.1", TRAINING) as server:
        give_address(kubectl, first, server.address)
        wait_for_phase(kubectl, name, "Running")
        hold(kubectl, second)
        change(kubectl, name, suspend=True)
        wait_for_phase(kubectl, name, "Suspending")
        wait_for("the removal of the Job", lambda: kubectl.find("job", f"{name}-learner-1") is None, SOON_S, 0.1)
        wait_for("the end of learner 0", lambda: len(pods(kubectl, name, "learner")) == 1, SOON_S, 0.1)
    assert kubectl.find("deployment", f"{name}-generator"), "a learner may still be saving"
    release(kubectl, second)
    run = wait_for_phase(kubectl, name, "Suspended")
    assert makers(kubectl, name) == set()
    assert kept(kubectl, name) == before
    suspended = condition(run, "Suspended")
    assert suspended is not None
    assert (suspended["status"], suspended["message"]) == (
        "True",
        "spec.suspend is true, and the run has no pods. Set it to false, and the run goes on from the newest checkpoint, of step 3 or "
        "later.",
    )
    assert kubectl("get", "grpo", name).splitlines()[1].split()[:3] == [name, "Suspended", "3"]

    change(kubectl, name, suspend=False)
    wait_for("attempt 2", lambda: kubectl.find("job", f"{name}-learner-2"), SOON_S, 0.1)
    wait_until_all_ready(kubectl, name)
    status = kubectl.get("grporun", name)["status"]
    assert (status["attempt"], status["suspensions"]) == (2, 1)
    assert status["learners"] == {"desired": 2, "ready": 2, "restarts": 0}
    assert "suspendedAt" not in status
    assert "lastFailure" not in status
    assert kept(kubectl, name) == before
    assert kubectl.get("service", f"{name}-learner")["spec"]["selector"]["grpo.dev/attempt"] == "2"
    told = [("Normal", reason) for reason in ("Resumed", "Suspended", "Suspending", "Training")]
    wait_for("the Events", lambda: events(kubectl, name) == told, SOON_S)
    assert count(operator, "grpo_run_restarts_total") == restarts


@pytest.mark.usefixtures("operator")
def test_a_suspended_run_goes_on_with_another_number_of_learners(kubectl: Kubectl, name: str) -> None:
    start_run(kubectl, name)
    change(kubectl, name, suspend=True)
    wait_for_phase(kubectl, name, "Suspended")
    change(kubectl, name, learners={"replicas": 3})
    change(kubectl, name, suspend=False)
    wait_for("attempt 2", lambda: kubectl.find("job", f"{name}-learner-2"), SOON_S, 0.1)
    wait_until_all_ready(kubectl, name)
    job = kubectl.get("job", f"{name}-learner-2")
    assert (job["spec"]["completions"], job["spec"]["parallelism"]) == (3, 3)
    assert len(pods(kubectl, name, "learner")) == 3
    config = json.loads(kubectl.get("configmap", f"{name}-config")["data"]["run.json"])
    assert config["learners"]["pods"] == 3
    assert kubectl.get("grporun", name)["status"]["learners"] == {"desired": 3, "ready": 3, "restarts": 0}


@pytest.mark.usefixtures("operator")
def test_a_run_that_is_created_suspended_starts_when_it_is_so_no_more(kubectl: Kubectl, name: str) -> None:
    kubectl.apply(volume(f"{name}-volume"), run_manifest(name, suspend=True))
    run = wait_for_phase(kubectl, name, "Suspended")
    assert "startedAt" not in run["status"]
    change(kubectl, name, recipe={"beta": 0.5})
    change(kubectl, name, suspend=False)
    wait_until_all_ready(kubectl, name)
    assert set(children(kubectl, name, "job")) == {f"Job/{name}-learner-1"}
    assert '"beta": 0.5' in kubectl.get("configmap", f"{name}-config")["data"]["run.json"]
    run = kubectl.get("grporun", name)
    assert (phase(run), run["status"]["attempt"]) == ("Starting", 1)
    assert events(kubectl, name) == [("Normal", "Resumed"), ("Normal", "Suspended")]


def seconds_since(time: str) -> int:
    return int((datetime.now(UTC) - datetime.fromisoformat(time)).total_seconds())


@pytest.mark.usefixtures("operator")
def test_a_run_that_has_used_up_its_time_has_failed_and_keeps_its_volume(kubectl: Kubectl, name: str) -> None:
    started_at = start_run(kubectl, name)["status"]["startedAt"]
    before = kept(kubectl, name)
    limit_s = seconds_since(started_at) + 4
    change(kubectl, name, activeDeadlineSeconds=limit_s)
    run = wait_for_phase(kubectl, name, "Failed")
    assert seconds_since(started_at) >= limit_s
    failed = condition(run, "Failed")
    assert failed is not None
    assert failed["reason"] == "DeadlineExceeded"
    sentence = f"spec.activeDeadlineSeconds is {limit_s}, and the run has been active for as long."
    assert failed["message"].startswith(f"{sentence} To go on, let another run start from its newest checkpoint: ")
    assert (run["status"]["attempt"], run["status"]["lastFailure"]["message"]) == (1, sentence)
    wait_for("the end of all pods", lambda: makers(kubectl, name) == set(), SOON_S)
    assert kept(kubectl, name) == before
    wait_for("the Event", lambda: events(kubectl, name) == [("Warning", "DeadlineExceeded")], SOON_S)


@pytest.mark.usefixtures("operator")
def test_a_run_goes_by_itself_after_its_end(kubectl: Kubectl, name: str) -> None:
    start_run(kubectl, name, ttlSecondsAfterFinished=3600)
    for learner in pods(kubectl, name, "learner"):
        end_pod(kubectl, learner, 0, TRAINING.to_json(), "Completed")
    run = wait_for_phase(kubectl, name, "Succeeded")
    wait_for("the end of the generators", lambda: kubectl.find("deployment", f"{name}-generator") is None, SOON_S)
    kept_s = seconds_since(run["status"]["finishedAt"]) + 4
    change(kubectl, name, ttlSecondsAfterFinished=kept_s)
    wait_for("the removal of the run", lambda: kubectl.find("grporun", name) is None, SOON_S, 0.1)
    assert seconds_since(run["status"]["finishedAt"]) >= kept_s
    wait_for("the end of what was made for it", lambda: children(kubectl, name) == {}, SOON_S)
