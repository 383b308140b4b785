"""A run survives its pods."""

import contextlib
import os
import re
import signal
from collections.abc import Iterator

import pytest

from cluster.cgroups import processes_of_pod
from e2e.demo_runs import demo_run
from e2e.namespaces import namespaces_with_volume
from harness.kubectl import Kubectl, Manifest
from harness.runs import children, events_of, last_words, log_of, pods, wait_for_phase, wait_for_step
from harness.waiting import wait_for

STEPS = 16
RESUMED = re.compile(r"resuming from the checkpoint of step (\d+)")


@pytest.fixture(scope="module")
def namespace(cluster: Kubectl, demo_namespace: Kubectl) -> Iterator[Kubectl]:
    """Of one run, which the tests here hurt in their order."""
    with namespaces_with_volume(cluster, demo_namespace) as make_namespace:
        kubectl = make_namespace()
        kubectl.apply(
            demo_run(
                "tough", recipe={"max_steps": STEPS, "per_device_train_batch_size": 32}, checkpoint={"everySteps": 3}
            )
        )
        wait_for_step(kubectl, "tough", 1, timeout_s=400)
        yield kubectl


def test_a_killed_generator_costs_no_step(namespace: Kubectl) -> None:
    victim = pods(namespace, "tough", "generator")[0]
    kill_processes(victim)
    run = wait_for_step(namespace, "tough", 5)
    wait_for("the restart of the generator", lambda: restarts(namespace, victim) == 1, 60)
    assert run["status"]["attempt"] == 1, "a lost generator must not cost the learners their attempt"
    note = wait_for("the Event", lambda: warnings(namespace).get("GeneratorEnded"), 10)
    assert f"Pod {victim['metadata']['name']} ended (exit code 137)" in note


def test_a_deleted_learner_resumes_from_the_newest_checkpoint(namespace: Kubectl) -> None:
    wait_for("a checkpoint", lambda: namespace.get("grporun", "tough")["status"].get("checkpoint"), 60)
    generators_before = {pod["metadata"]["uid"] for pod in pods(namespace, "tough", "generator")}
    checkpoint_step = namespace.get("grporun", "tough")["status"]["checkpoint"]["step"]
    of_learner_1 = "grpo.dev/run=tough,grpo.dev/role=learner,batch.kubernetes.io/job-completion-index=1"
    namespace("delete", "pod", "-l", of_learner_1, "--wait=false")
    wait_for("the second attempt", lambda: namespace.get("grporun", "tough")["status"]["attempt"] == 2, 120)

    run = wait_for_phase(namespace, "tough", "Succeeded", 600)
    assert run["status"]["progress"]["step"] == STEPS
    assert run["status"]["learners"]["restarts"] == 1
    assert {pod["metadata"]["uid"] for pod in pods(namespace, "tough", "generator")} <= generators_before
    resumed_at = int(RESUMED.findall(first_learner_log(namespace))[0])
    assert checkpoint_step <= resumed_at < STEPS
    assert "Job/tough-learner-1" not in children(namespace, "tough")
    assert warnings(namespace).keys() == {"GeneratorEnded", "LearnerPodLost"}


def kill_processes(pod: Manifest) -> None:
    """kill -9 from outside: inside of the pod nobody may kill process 1."""
    for pid in processes_of_pod(pod["metadata"]["uid"]):
        with contextlib.suppress(ProcessLookupError):  # its parent took it along
            os.kill(pid, signal.SIGKILL)


def warnings(kubectl: Kubectl) -> dict[str, str]:
    """{reason: note}"""
    return {event["reason"]: event["note"] for event in events_of(kubectl, "tough") if event["type"] == "Warning"}


def restarts(kubectl: Kubectl, pod: Manifest) -> int:
    (container,) = kubectl.get("pod", pod["metadata"]["name"])["status"]["containerStatuses"]
    return int(container["restartCount"])


def first_learner_log(kubectl: Kubectl) -> str:
    (pod,) = (
        pod
        for pod in pods(kubectl, "tough", "learner")
        if pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"] == "0"
    )
    assert last_words(pod)["exitCode"] == 0
    return log_of(kubectl, pod)
