"""A learner that the kernel ends for want of memory is named, with what to do, and so is a run that starts again and again."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from harness.demo_runs import hungry_run
from harness.kubectl import Kubectl, Manifest
from harness.namespaces import namespaces_with_volume
from harness.outages import wait_through_outages
from harness.prometheus import Prometheus, Raised
from harness.runs import NAMED_S, SOON_S, last_words, pods, seconds_between, wait_for_phase

RESTARTS = 3
FAILED_S = 240


@dataclass(frozen=True)
class Hungry:
    kubectl: Kubectl
    run: Manifest
    """When it had failed."""
    applied_s: float
    """Seconds since the epoch."""


@pytest.fixture(scope="module")
def hungry(cluster: Kubectl, demo_claim: Kubectl) -> Iterator[Hungry]:
    """It needs no base model: there is no memory for what would ask the hub."""
    with namespaces_with_volume(cluster, demo_claim) as make:
        kubectl, applied_s = make(), time.time()
        names = {"model_name_or_path": "nobody/model", "dataset_name": "nobody/problems"}
        kubectl.apply(hungry_run(RESTARTS, recipe=names))
        yield Hungry(kubectl, wait_for_phase(kubectl, "hungry", "Failed", FAILED_S), applied_s)


def test_a_learner_out_of_memory_is_named(hungry: Hungry) -> None:
    failure = hungry.run["status"]["lastFailure"]
    assert failure["reason"] == "OOMKilled"
    assert "learners.resources" in failure["message"]
    (pod,) = pods(hungry.kubectl, "hungry", "learner")
    assert seconds_between(last_words(pod)["finishedAt"], hungry.run["status"]["finishedAt"]) <= NAMED_S


def test_alerts_name_restarts_and_failure(hungry: Hungry, prometheus: Prometheus) -> None:
    assert hungry.run["status"]["attempt"] == RESTARTS + 1
    expected = {Raised(alert, "critical", "firing") for alert in ("GRPORestartsLooping", "GRPORunFailed")}

    def have_fired() -> bool:
        labels = {"namespace": str(hungry.kubectl.namespace), "run": "hungry"}
        return expected <= prometheus.raised(hungry.applied_s, **labels)

    wait_through_outages(f"{len(expected)} alerts that fire", have_fired, SOON_S)
