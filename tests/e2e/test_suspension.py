"""A run that is suspended while it trains, with two learner pods, loses no finished step."""

import re
import time
from dataclasses import dataclass

import pytest

from harness.demo_runs import small_run
from harness.kubectl import Kubectl, Manifest, condition
from harness.outages import wait_through_outages
from harness.prometheus import Prometheus
from harness.runs import RESUMED, children, last_words, log_of, pods, wait_for_phase, wait_for_step, warnings_of

STEPS = 8
STEP = re.compile(rf"step (\d+)/{STEPS}  reward ")
START_S = 400
SLOW = """
import time

def slow(completions, **columns):
    time.sleep(1)
    return [0.0] * len(completions)
"""
"""A reward that keeps a run from its end until it is suspended."""


@dataclass(frozen=True)
class Suspended:
    status: Manifest
    """While it was."""
    left: set[str]
    """Kinds of the children that stayed."""
    run: Manifest
    """When it had succeeded."""
    log: str
    """Of learner 0 in its second attempt."""
    warnings: list[tuple[str, str]]
    applied_s: float
    """Seconds since the epoch."""


@pytest.fixture(scope="module")
def suspended(namespace: Kubectl) -> Suspended:
    code = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "slow"}, "data": {"pace.py": SLOW}}
    run = small_run(
        "paused",
        STEPS,
        recipe={"reward_funcs": ["accuracy", "format", "tag_count", "pace:slow"]},
        rewards={"from": [{"configMap": {"name": "slow"}}]},
        learners={"replicas": 2},
        checkpoint={"everySteps": 100},
    )
    applied_s = time.time()
    namespace.apply(code, run)
    wait_for_step(namespace, "paused", 2, START_S)
    change(namespace, suspend=True)
    status = wait_for_phase(namespace, "paused", "Suspended", 120)["status"]
    wait_through_outages("the end of its pods", lambda: not namespace.find_all("pod"), 60)
    left = {name.partition("/")[0] for name in children(namespace, "paused")}
    change(namespace, suspend=False)
    ended = wait_for_phase(namespace, "paused", "Succeeded", START_S)
    learner = pods(namespace, "paused", "learner")[0]
    assert last_words(learner)["exitCode"] == 0
    return Suspended(status, left, ended, log_of(namespace, learner), warnings_of(namespace, "paused"), applied_s)


def change(kubectl: Kubectl, suspend: bool) -> None:
    kubectl("patch", "grporun", "paused", "--type=merge", f'-p={{"spec": {{"suspend": {str(suspend).lower()}}}}}')


def test_it_holds_nothing_but_what_it_goes_on_with(suspended: Suspended) -> None:
    assert suspended.left == {"ConfigMap", "Secret", "Service", "NetworkPolicy"}
    stated = condition({"status": suspended.status}, "Suspended")
    assert stated is not None
    assert (stated["status"], stated["reason"]) == ("True", "Suspended")


def test_it_goes_on_after_the_last_finished_step(suspended: Suspended) -> None:
    """Which no checkpoint of its own was due for: learners saved it when they were asked to end."""
    (resumed_at,) = map(int, RESUMED.findall(suspended.log))
    assert suspended.status["progress"]["step"] <= resumed_at < STEPS
    assert [int(step) for step in STEP.findall(suspended.log)] == list(range(resumed_at + 1, STEPS + 1))
    assert suspended.run["status"]["progress"]["step"] == STEPS


def test_it_is_no_failure(suspended: Suspended) -> None:
    status = suspended.run["status"]
    assert (status["attempt"], status["suspensions"], status["learners"]["restarts"]) == (2, 1, 0)
    assert "lastFailure" not in status
    assert suspended.warnings == []


def test_no_critical_alert_fires(suspended: Suspended, namespace: Kubectl, prometheus: Prometheus) -> None:
    raised = prometheus.raised(suspended.applied_s, namespace=str(namespace.namespace), run="paused")
    assert {each for each in raised if (each.severity, each.state) == ("critical", "firing")} == set()
