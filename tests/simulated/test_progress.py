"""A run without trouble: what its learner tells comes into the status, up to success."""

import pytest

from grpo_contract.progress import CheckpointProgress, GeneratorProgress, Metrics, Progress, Stage, Steps
from harness.kubectl import Kubectl
from harness.runs import SOON_S, pods, wait_for_phase
from harness.waiting import wait_for
from simulated.observed import WRITES, all_versions, count, events
from simulated.operator_process import Operator
from simulated.progress_server import serving_progress
from simulated.runs import end_pod, give_address, start_run

pytestmark = pytest.mark.usefixtures("operator")


def test_progress_comes_into_the_status(kubectl: Kubectl, name: str) -> None:
    start_run(kubectl, name)
    generators = [pod["metadata"]["name"] for pod in pods(kubectl, name, "generator")]
    progress = Progress(
        attempt=1,
        stage=Stage.TRAINING,
        progress=Steps(step=3, max_steps=10, seconds_per_step=2.5),
        metrics=Metrics(reward=0.5, kl=0.01, rewards={"accuracy": 0.25}),
        checkpoint=CheckpointProgress(step=2, time="2026-11-24T00:00:00Z"),
        weight_version="3",
        generators=[GeneratorProgress(name=name, in_sync=True, completions=8) for name in generators],
    )
    with serving_progress("127.9.4.1", progress) as server:
        give_address(kubectl, pods(kubectl, name, "learner")[0], server.address)
        status = wait_for_phase(kubectl, name, "Running")["status"]
        assert status["progress"] == {"step": 3, "maxSteps": 10, "secondsPerStep": 2.5}
        assert status["metrics"] == {"reward": 0.5, "kl": 0.01, "rewards": {"accuracy": 0.25}}
        assert status["checkpoint"]["step"] == 2
        assert status["generators"]["inSync"] == 2
        assert status["generators"]["weightVersion"] == "3"
        server.progress = progress.model_copy(update={"progress": Steps(step=4, max_steps=10)})
        wait_for("step 4", lambda: kubectl.get("grporun", name)["status"]["progress"]["step"] == 4, SOON_S, 0.1)
    assert events(kubectl, name) == [("Normal", "Training")]


def test_a_run_that_stands_still_is_not_written_to(kubectl: Kubectl, operator: Operator, name: str) -> None:
    start_run(kubectl, name)
    with serving_progress("127.9.4.2", Progress(attempt=1, stage=Stage.TRAINING)) as server:
        give_address(kubectl, pods(kubectl, name, "learner")[0], server.address)
        wait_for_phase(kubectl, name, "Running")
        before, asked, writes = (
            all_versions(kubectl, name),
            server.requests,
            count(operator, "rest_client_requests_total", *WRITES),
        )
        wait_for("three more looks", lambda: server.requests >= asked + 3, SOON_S, 0.1)
        assert all_versions(kubectl, name) == before
        assert count(operator, "rest_client_requests_total", *WRITES) == writes


def test_success(kubectl: Kubectl, name: str) -> None:
    start_run(kubectl, name)
    first, second = pods(kubectl, name, "learner")
    model = "/volume/runs/x/model"
    final = Progress(attempt=1, stage=Stage.FINISHED, progress=Steps(step=10, max_steps=10), model=model)
    end_pod(kubectl, first, 0, final.to_json(), "Completed")
    end_pod(kubectl, second, 0, "", "Completed")
    run = wait_for_phase(kubectl, name, "Succeeded")
    assert run["status"]["model"] == model
    assert run["status"]["progress"]["step"] == 10
    assert run["status"]["finishedAt"] >= run["status"]["startedAt"]
    wait_for("the generators' removal", lambda: kubectl.find("deployment", f"{name}-generator") is None, SOON_S)
    assert kubectl.get("job", f"{name}-learner-1")["status"]["succeeded"] == 2
    assert len(pods(kubectl, name, "learner")) == 2
    wait_for("the Event", lambda: ("Normal", "Completed") in events(kubectl, name), SOON_S)
