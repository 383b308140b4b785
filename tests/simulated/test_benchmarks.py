"""What becomes of a benchmark whose pod is taken away, fails, or takes too long. The Job controller is Kubernetes' own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from grpo_contract.benchmarks import BenchmarkScores
from grpo_contract.progress import Progress, Stage, Steps
from harness.kubectl import Kubectl, Manifest, condition
from harness.runs import SOON_S, pods, wait_for_phase
from harness.waiting import wait_for
from simulated.observed import events
from simulated.operator_process import Operator, running_operator
from simulated.runs import RECIPE, disrupt_pod, end_pod, exceed_deadline, start_run

SETTINGS = {"image": "lighteval:1", "command": ["benchmark"], "gpus": 1, "timeoutS": 3600}
TRAINED = Progress(attempt=1, stage=Stage.FINISHED, progress=Steps(step=20, max_steps=20), model="/volume/model")
SCORES = BenchmarkScores(scores={"math_500|0": {"pass@1": 0.75}})


@pytest.fixture(scope="module")
def operator(kubeconfig: Path, folder: Path) -> Iterator[Operator]:
    settings: dict[str, Any] = {"fullPassS": 3600, "progressIntervalS": 1, "benchmarks": SETTINGS}
    with running_operator(kubeconfig, folder, "benchmarking", **settings) as operator:
        yield operator


@pytest.fixture
def job(kubectl: Kubectl, operator: Operator, name: str) -> str:
    """Of the trained model of a run that has succeeded; its first pod is running."""
    start_run(kubectl, name, recipe=RECIPE | {"benchmarks": ["math_500"]})
    for learner in pods(kubectl, name, "learner"):
        end_pod(kubectl, learner, 0, TRAINED.to_json(), "Completed")
    wait_for_phase(kubectl, name, "Succeeded")
    running_pod(kubectl, name)
    return f"{name}-benchmark-model"


def running_pod(kubectl: Kubectl, name: str, *but: Manifest) -> Manifest:
    """The benchmark's newest, which is none of `but`."""
    old = {pod["metadata"]["uid"] for pod in but}

    def found() -> Manifest | None:
        new = [pod for pod in pods(kubectl, name, "benchmark") if pod["metadata"]["uid"] not in old]
        return next((pod for pod in new if pod["status"]["phase"] == "Running"), None)

    return wait_for(f"a pod of the benchmark of {name}", found, SOON_S, 0.1)


def entry_of(kubectl: Kubectl, name: str) -> Manifest:
    (entry,) = kubectl.get("grporun", name)["status"]["benchmarks"]
    return dict(entry)


def wait_for_reason(kubectl: Kubectl, name: str, reason: str) -> Manifest:
    """The condition Benchmarked of a run that has ended, once it has this reason."""

    def found() -> Manifest | None:
        benchmarked = condition(kubectl.get("grporun", name), "Benchmarked")
        return benchmarked if benchmarked and benchmarked["reason"] == reason else None

    return wait_for(f"reason {reason} of {name}", found, SOON_S, 0.1)


def test_a_pod_that_is_taken_away_is_replaced_as_often_as_it_takes(kubectl: Kubectl, job: str, name: str) -> None:
    taken: list[Manifest] = []
    for _ in range(3):
        taken.append(running_pod(kubectl, name, *taken))
        disrupt_pod(kubectl, taken[-1])
    last = running_pod(kubectl, name, *taken)
    assert entry_of(kubectl, name)["phase"] == "Running"
    assert kubectl.get("job", job)["status"].get("conditions") is None
    end_pod(kubectl, last, 0, SCORES.model_dump_json(), "Completed")
    wait_for_reason(kubectl, name, "BenchmarksDone")
    assert entry_of(kubectl, name)["scores"] == SCORES.scores


def test_a_program_that_fails_has_one_more_try(kubectl: Kubectl, job: str, name: str) -> None:
    first = running_pod(kubectl, name)
    end_pod(kubectl, first, 1, "ValueError: no such task")
    second = running_pod(kubectl, name, first)
    assert entry_of(kubectl, name)["phase"] == "Running"
    end_pod(kubectl, second, 1, "ValueError: no such task")
    failed = wait_for_reason(kubectl, name, "BenchmarkFailed")
    assert "exit code 1 (ValueError: no such task)" in failed["message"]
    assert {pod["metadata"]["uid"] for pod in pods(kubectl, name, "benchmark")} == {
        pod["metadata"]["uid"] for pod in (first, second)
    }
    assert kubectl.get("job", job)["status"]["failed"] == 2
    wait_for("the Event", lambda: ("Warning", "BenchmarkFailed") in events(kubectl, name), SOON_S)


def test_one_that_takes_too_long_is_not_tried_again(kubectl: Kubectl, job: str, name: str) -> None:
    pod = running_pod(kubectl, name)
    assert pod["spec"]["activeDeadlineSeconds"] == SETTINGS["timeoutS"]
    exceed_deadline(kubectl, pod)
    failed = wait_for_reason(kubectl, name, "BenchmarkFailed")
    assert "It did not end within 1 hours on its node" in failed["message"]
    wait_for("the end of its Job", lambda: kubectl.find("job", job) is None, SOON_S)
    wait_for("the end of its pods", lambda: not pods(kubectl, name, "benchmark"), SOON_S)
    assert entry_of(kubectl, name)["phase"] == "Failed"
