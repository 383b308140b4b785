"""A run survives its pods: one run loses a generator, one beside it a learner."""

import contextlib
import os
import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from cluster.cgroups import processes_of_pod
from e2e.demo_runs import small_run
from e2e.namespaces import namespaces_with_volume
from grpo_contract.files import SCRATCH
from harness.kubectl import Kubectl, Manifest
from harness.runs import (
    children,
    events_of,
    last_words,
    log_of,
    phase,
    pods,
    wait_for_condition,
    wait_for_phase,
    wait_for_step,
)
from harness.waiting import wait_for

STEPS = 24
"""So many that no run ends before it was hurt, once it makes steps."""
STEP = re.compile(rf"step (\d+)/{STEPS}  reward ")
RESUMED = re.compile(r"resuming from the checkpoint of step (\d+)")
START_S = 500
RUN_S = 700

GATE = SCRATCH / "gate-is-open"
GATE_CODE = f"""
import os, time

def held(completions, **columns):
    while not os.path.exists("{GATE}"):
        time.sleep(0.1)
    return [0.0] * len(completions)
"""
"""A reward that keeps the run from its first step until the test has opened the gate: generators become ready when they like."""


@dataclass(frozen=True)
class Hurt:
    run: Manifest
    """When it had succeeded."""
    log: str
    """Of learner 0 in its last attempt."""
    victim: str
    """The pod that was hurt."""
    warnings: dict[str, str]
    """{reason: note}"""


@dataclass(frozen=True)
class HurtInLearner(Hurt):
    checkpoint_step: int
    """Of the newest checkpoint that was told of when the learner was deleted."""
    generators: tuple[set[str], set[str]]
    """Their uids: before that, and when the second attempt made steps."""
    children: set[str]


@pytest.fixture(scope="module")
def namespace(cluster: Kubectl, demo_namespace: Kubectl) -> Iterator[Kubectl]:
    """With both runs, which start at once."""
    with namespaces_with_volume(cluster, demo_namespace) as make_namespace:
        kubectl = make_namespace()
        kubectl.apply(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "gate"}, "data": {"gate.py": GATE_CODE}},
            small_run(
                "less-generators",
                STEPS,
                generators={"replicas": 2},
                recipe={"reward_funcs": ["accuracy", "format", "tag_count", "gate:held"]},
                rewards={"from": [{"configMap": {"name": "gate"}}], "timeoutSeconds": START_S},
            ),
            small_run("less-learners", STEPS, learners={"replicas": 2}, checkpoint={"everySteps": 3}),
        )
        yield kubectl


@pytest.fixture(scope="module")
def hurt(namespace: Kubectl) -> tuple[Hurt, HurtInLearner]:
    with ThreadPoolExecutor() as pool:
        less_generators = pool.submit(kill_a_generator, namespace, "less-generators")
        less_learners = pool.submit(delete_a_learner, namespace, "less-learners")
        return less_generators.result(), less_learners.result()


def kill_a_generator(kubectl: Kubectl, name: str) -> Hurt:
    """kill -9 from outside: inside of the pod nobody may kill process 1. The other one is there by then."""
    for kind in ("GeneratorsReady", "LearnersReady"):
        wait_for_condition(kubectl, name, kind, "AllReady", START_S)
    (learner,) = pods(kubectl, name, "learner")
    kubectl("exec", learner["metadata"]["name"], "--", "python", "-c", f"open('{GATE}', 'w')")
    wait_for_step(kubectl, name, 1, START_S)
    victim = pods(kubectl, name, "generator")[0]
    for pid in processes_of_pod(victim["metadata"]["uid"]):
        with contextlib.suppress(ProcessLookupError):  # its parent took it along
            os.kill(pid, signal.SIGKILL)
    run = wait_for_phase(kubectl, name, "Succeeded", RUN_S)
    return Hurt(run, learner_log(kubectl, name), victim["metadata"]["name"], warnings(kubectl, name))


def delete_a_learner(kubectl: Kubectl, name: str) -> HurtInLearner:
    wait_for_step(kubectl, name, 1, START_S)
    checkpoint = wait_for("a checkpoint", lambda: kubectl.get("grporun", name)["status"].get("checkpoint"), 120)
    warm = generator_uids(kubectl, name)
    victim = pods(kubectl, name, "learner")[1]["metadata"]["name"]
    kubectl("delete", "pod", victim, "--wait=false")
    wait_for("steps of the second attempt", lambda: trains_again(kubectl.get("grporun", name)), START_S)
    still_warm = generator_uids(kubectl, name)
    run = wait_for_phase(kubectl, name, "Succeeded", RUN_S)
    return HurtInLearner(
        run,
        learner_log(kubectl, name),
        victim,
        warnings(kubectl, name),
        checkpoint_step=checkpoint["step"],
        generators=(warm, still_warm),
        children=set(children(kubectl, name)),
    )


def trains_again(run: Manifest) -> bool:
    return run["status"]["attempt"] == 2 and phase(run) == "Running"


def generator_uids(kubectl: Kubectl, name: str) -> set[str]:
    return {pod["metadata"]["uid"] for pod in pods(kubectl, name, "generator")}


def warnings(kubectl: Kubectl, name: str) -> dict[str, str]:
    return {event["reason"]: event["note"] for event in events_of(kubectl, name) if event["type"] == "Warning"}


def learner_log(kubectl: Kubectl, name: str) -> str:
    pod = pods(kubectl, name, "learner")[0]
    assert last_words(pod)["exitCode"] == 0
    return log_of(kubectl, pod)


def test_a_killed_generator_costs_no_step(hurt: tuple[Hurt, HurtInLearner]) -> None:
    run, _ = hurt
    assert [int(step) for step in STEP.findall(run.log)] == list(range(1, STEPS + 1))
    assert run.run["status"]["attempt"] == 1
    assert run.warnings.keys() == {"GeneratorEnded"}
    assert f"Pod {run.victim} ended (exit code 137)" in run.warnings["GeneratorEnded"]


def test_a_deleted_learner_resumes_from_the_newest_checkpoint(hurt: tuple[Hurt, HurtInLearner]) -> None:
    _, run = hurt
    assert run.run["status"]["progress"]["step"] == STEPS
    assert run.run["status"]["learners"]["restarts"] == 1
    (resumed_at,) = map(int, RESUMED.findall(run.log))
    assert run.checkpoint_step <= resumed_at < STEPS
    assert [int(step) for step in STEP.findall(run.log)] == list(range(resumed_at + 1, STEPS + 1))
    assert "Job/less-learners-learner-1" not in run.children
    assert run.warnings.keys() == {"LearnerPodLost"}
    assert f"Pod {run.victim} was deleted." in run.warnings["LearnerPodLost"]


def test_generators_stay_warm_when_learners_start_again(hurt: tuple[Hurt, HurtInLearner]) -> None:
    _, run = hurt
    before, after = run.generators
    assert before == after
    assert len(before) == 1
