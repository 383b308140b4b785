"""What becomes of a run when its pods end, are deleted, or cannot start."""

from collections.abc import Iterator

import pytest

from grpo_contract.failure import USER_ERROR_EXIT_CODE, Failure, PodReason
from grpo_contract.progress import GeneratorProgress, Progress, Stage
from grpo_operator.reconcile.restart import GONE_GRACE_S
from grpo_operator.reconcile.worn_out import BORNE_RESTARTS
from harness.kubectl import Kubectl, condition
from harness.runs import SOON_S, children, hold, pods, release, wait_for_condition, wait_for_phase
from harness.waiting import wait_for
from simulated.observed import count, events, wait_for_look
from simulated.operator_process import Operator
from simulated.progress_server import serving_progress
from simulated.runs import (
    delete_pod,
    disrupt_pod,
    end_pod,
    give_address,
    keep_waiting,
    lose_readiness,
    name_of_a_run,
    run_manifest,
    start_run,
    volume,
)

pytestmark = pytest.mark.usefixtures("operator")


@pytest.fixture(scope="module", autouse=True)
def on_a_lost_node(kubectl: Kubectl, operator: Operator) -> Iterator[tuple[str, str]]:
    """A run and its learner, from before the first test of this file on: a node's word is waited for a minute."""
    with name_of_a_run(kubectl) as name:
        start_run(kubectl, name)
        lost = pods(kubectl, name, "learner")[1]["metadata"]["name"]
        kubectl("delete", "pod", lost, "--grace-period=1", "--wait=false")
        yield name, lost


@pytest.fixture(scope="module", autouse=True)
def without_claim(kubectl: Kubectl, operator: Operator) -> Iterator[str]:
    """A run whose claim is not there, from before the first test of this file on: a claim is waited for half a minute."""
    with name_of_a_run(kubectl) as name:
        kubectl.apply(run_manifest(name, storage={"claimName": "none-such"}))
        ready = wait_for_condition(kubectl, name, "StorageReady", "ClaimNotFound")
        assert "storage.claimName 'none-such'" in ready["message"]
        yield name


def test_a_failed_learner_is_restarted_and_generators_are_left_alone(
    kubectl: Kubectl, operator: Operator, name: str
) -> None:
    start_run(kubectl, name)
    deployment = kubectl.get("deployment", f"{name}-generator")
    generators = {pod["metadata"]["uid"] for pod in pods(kubectl, name, "generator")}
    restarts = count(operator, "grpo_run_restarts_total", "GeneratorsLost")
    failure = Failure(reason="GeneratorsLost", message="No generator answered for 1800 s.")
    end_pod(kubectl, pods(kubectl, name, "learner")[1], 1, failure.model_dump_json())
    job = wait_for("attempt 2", lambda: kubectl.find("job", f"{name}-learner-2"), SOON_S, 0.1)
    assert job["metadata"]["labels"]["grpo.dev/attempt"] == "2"
    wait_for("the removal of attempt 1", lambda: kubectl.find("job", f"{name}-learner-1") is None, SOON_S)
    wait_for_condition(kubectl, name, "LearnersReady", "AllReady")
    status = kubectl.get("grporun", name)["status"]
    assert status["attempt"] == 2
    assert status["learners"] == {"desired": 2, "ready": 2, "restarts": 1}
    assert status["phase"] == "Restarting"
    last = status["lastFailure"]
    assert (last["attempt"], last["reason"], last["exitCode"]) == (1, "GeneratorsLost", 1)
    assert last["message"] == failure.message
    assert last["pod"].startswith(f"{name}-learner-1-1-")
    after = kubectl.get("deployment", f"{name}-generator")
    assert (after["metadata"]["uid"], after["spec"]) == (deployment["metadata"]["uid"], deployment["spec"])
    assert {pod["metadata"]["uid"] for pod in pods(kubectl, name, "generator")} == generators
    selector = kubectl.get("service", f"{name}-learner")["spec"]["selector"]
    assert selector["grpo.dev/attempt"] == "2"
    wait_for("the Event", lambda: ("Warning", "GeneratorsLost") in events(kubectl, name), SOON_S)
    assert count(operator, "grpo_run_restarts_total", "GeneratorsLost") == restarts + 1


def test_a_deleted_learner_is_a_restart_that_does_not_count(kubectl: Kubectl, operator: Operator, name: str) -> None:
    start_run(kubectl, name, maxRestarts=0)
    restarts = count(operator, "grpo_run_restarts_total", "LearnerPodLost")
    victim = pods(kubectl, name, "learner")[1]
    hold(kubectl, victim)  # a simulated pod is gone within a second, and an operator on busy cores may look after that
    delete_pod(kubectl, victim)
    wait_for("attempt 2", lambda: kubectl.find("job", f"{name}-learner-2"), SOON_S, 0.1)
    release(kubectl, victim)
    wait_for_condition(kubectl, name, "LearnersReady", "AllReady")
    status = kubectl.get("grporun", name)["status"]
    last = status["lastFailure"]
    assert (last["reason"], last["message"]) == ("LearnerPodLost", f"Pod {victim['metadata']['name']} was deleted.")
    assert (status["attempt"], status["disruptions"], status["learners"]["restarts"]) == (2, 1, 0)
    wait_for("the Event", lambda: ("Warning", "LearnerPodLost") in events(kubectl, name), SOON_S)
    assert count(operator, "grpo_run_restarts_total", "LearnerPodLost") == restarts + 1


def test_an_evicted_learner_is_a_restart_that_does_not_count(kubectl: Kubectl, name: str) -> None:
    start_run(kubectl, name, maxRestarts=0)
    disrupt_pod(kubectl, pods(kubectl, name, "learner")[1])
    wait_for("attempt 2", lambda: kubectl.find("job", f"{name}-learner-2"), SOON_S, 0.1)
    wait_for_condition(kubectl, name, "LearnersReady", "AllReady")
    status = kubectl.get("grporun", name)["status"]
    assert status["lastFailure"]["reason"] == "Disrupted"
    assert (status["attempt"], status["disruptions"], status["learners"]["restarts"]) == (2, 1, 0)


def test_a_deleted_learner_is_seen_while_learner_0_is_asked(kubectl: Kubectl, name: str) -> None:
    """Learner 0 does not answer, and learner 1 is gone before the question is given up."""
    start_run(kubectl, name)
    first, victim = pods(kubectl, name, "learner")
    with serving_progress("127.9.6.1", Progress(attempt=1, stage=Stage.TRAINING)) as server:
        give_address(kubectl, first, server.address)
        wait_for_phase(kubectl, name, "Running")
        server.answers.clear()
        asked = server.requests
        wait_for("a question", lambda: server.requests > asked, SOON_S, 0.01)
        delete_pod(kubectl, victim)
        kubectl("delete", "pod", victim["metadata"]["name"], "--force", "--wait=false")
        wait_for("attempt 2", lambda: kubectl.find("job", f"{name}-learner-2"), SOON_S, 0.1)
    last = kubectl.get("grporun", name)["status"]["lastFailure"]
    assert (last["reason"], last["message"]) == ("LearnerPodLost", f"Pod {victim['metadata']['name']} was deleted.")


def test_a_generator_that_has_worked_is_replaced_when_the_kubelet_holds_it_back(kubectl: Kubectl, name: str) -> None:
    start_run(kubectl, name)
    worn, idle = (pod["metadata"]["name"] for pod in pods(kubectl, name, "generator"))
    generators = [
        GeneratorProgress(name=worn, in_sync=False, completions=8),
        GeneratorProgress(name=idle, in_sync=False, completions=0),
    ]
    progress = Progress(attempt=1, stage=Stage.TRAINING, generators=generators)
    with serving_progress("127.9.6.2", progress) as server:
        give_address(kubectl, pods(kubectl, name, "learner")[0], server.address)
        wait_for_phase(kubectl, name, "Running")
        for pod in pods(kubectl, name, "generator"):
            keep_waiting(
                kubectl, pod, "CrashLoopBackOff", "Back-off", {"exitCode": 137, "reason": "Error"}, BORNE_RESTARTS
            )

        def are_replaced() -> bool:
            names = {pod["metadata"]["name"] for pod in pods(kubectl, name, "generator")}
            return worn not in names and len(names) == 2

        wait_for("another pod", are_replaced, SOON_S, 0.1)
    assert idle in {pod["metadata"]["name"] for pod in pods(kubectl, name, "generator")}


def test_no_restart_beyond_the_limit(kubectl: Kubectl, name: str) -> None:
    start_run(kubectl, name, maxRestarts=0)
    end_pod(kubectl, pods(kubectl, name, "learner")[0], 137, reason="OOMKilled")
    run = wait_for_phase(kubectl, name, "Failed")
    failed = condition(run, "Failed")
    assert failed is not None
    assert failed["reason"] == "MaxRestartsExceeded"
    assert "learners.resources.limits.memory" in failed["message"]
    assert run["status"]["lastFailure"]["reason"] == "OOMKilled"


def test_a_users_mistake_is_not_tried_again(kubectl: Kubectl, name: str) -> None:
    start_run(kubectl, name)
    # Of a name that anybody may have chosen: what JSON and YAML write differently must come through as well.
    name_of_data = "\N{ROCKET} \x00 \x7f \x85 \u2028 \ufeff \\ud83d \\N"
    failure = Failure(
        reason=PodReason.DATASET_NOT_FOUND, message=f"recipe.dataset_name '{name_of_data}': no such folder; correct it."
    )
    end_pod(kubectl, pods(kubectl, name, "learner")[0], USER_ERROR_EXIT_CODE, failure.model_dump_json())
    run = wait_for_phase(kubectl, name, "Failed")
    failed = condition(run, "Failed")
    assert failed is not None
    assert failed["reason"] == PodReason.DATASET_NOT_FOUND
    assert failed["message"].startswith(f"{failure.message} To try again, ")
    assert run["status"]["attempt"] == 1
    wait_for("the generators' removal", lambda: kubectl.find("deployment", f"{name}-generator") is None, SOON_S)
    assert kubectl.find("job", f"{name}-learner-1") is not None
    wait_for("the Event", lambda: ("Warning", PodReason.DATASET_NOT_FOUND) in events(kubectl, name), SOON_S)


def test_a_generator_that_cannot_work_fails_the_run(kubectl: Kubectl, name: str) -> None:
    """On no node, so that none of them is ever ready."""
    nowhere = {"replicas": 2, "gpus": 0, "nodeSelector": {"none": "such"}}
    kubectl.apply(volume(f"{name}-volume"), run_manifest(name, generators=nowhere))
    generators = wait_for("generators", lambda: pods(kubectl, name, "generator"), SOON_S)
    failure = Failure(reason="ModelNotFound", message="recipe.model_name_or_path 'm': no such model; correct it.")
    end_pod(kubectl, generators[0], USER_ERROR_EXIT_CODE, failure.model_dump_json())
    run = wait_for_phase(kubectl, name, "Failed")
    failed = condition(run, "Failed")
    assert failed is not None
    assert failed["reason"] == "ModelNotFound"
    wait_for("the end of learners", lambda: kubectl.find("job", f"{name}-learner-1") is None, SOON_S)


def test_a_generator_that_cannot_work_any_more_is_named_and_the_run_goes_on(kubectl: Kubectl, name: str) -> None:
    start_run(kubectl, name)
    assert kubectl.get("grporun", name)["status"]["generators"]["firstReadyAt"]
    failure = Failure(reason="InvalidRecipe", message="spec.generators.env: no such backend; correct it.")
    ended = {"exitCode": USER_ERROR_EXIT_CODE, "reason": "Error", "message": failure.model_dump_json()}
    keep_waiting(kubectl, pods(kubectl, name, "generator")[0], "CrashLoopBackOff", "Back-off", ended)
    ready = wait_for_condition(kubectl, name, "GeneratorsReady", "GeneratorMisconfigured")
    assert "no such backend" in ready["message"]
    assert condition(kubectl.get("grporun", name), "Failed") is None
    wait_for("the Event", lambda: ("Warning", "GeneratorMisconfigured") in events(kubectl, name), SOON_S)


def test_a_generator_that_ended_is_told_with_its_cause(kubectl: Kubectl, name: str) -> None:
    start_run(kubectl, name)
    ended = {"exitCode": 137, "reason": "Error"}
    keep_waiting(kubectl, pods(kubectl, name, "generator")[0], "ContainerCreating", "", ended)
    wait_for("the Event", lambda: ("Warning", "GeneratorEnded") in events(kubectl, name), SOON_S)
    wait_for("the Deployment's news", lambda: ready_of_deployment(kubectl, name) == 1, SOON_S)
    wait_for_look(kubectl)
    assert events(kubectl, name) == [("Warning", "GeneratorEnded")]
    assert kubectl.get("grporun", name)["status"]["generators"]["ready"] == 1


def test_a_generator_that_is_not_ready_any_more_is_told(kubectl: Kubectl, name: str) -> None:
    start_run(kubectl, name)
    generator = pods(kubectl, name, "generator")[1]
    lose_readiness(kubectl, generator)
    wait_for("the Event", lambda: ("Warning", "GeneratorNotReady") in events(kubectl, name), SOON_S)
    ready = condition(kubectl.get("grporun", name), "GeneratorsReady")
    assert ready is not None
    assert (ready["status"], ready["reason"]) == ("False", "GeneratorNotReady")
    assert ready["message"].startswith(f"Pod {generator['metadata']['name']} runs and is not ready any more: ")
    wait_for("the Deployment's news", lambda: ready_of_deployment(kubectl, name) == 1, SOON_S)
    wait_for_look(kubectl)
    assert events(kubectl, name) == [("Warning", "GeneratorNotReady")]
    assert kubectl.get("grporun", name)["status"]["generators"]["ready"] == 1


def ready_of_deployment(kubectl: Kubectl, name: str) -> int:
    return int(kubectl.get("deployment", f"{name}-generator")["status"].get("readyReplicas", 0))


def test_an_image_that_cannot_be_pulled_is_named(kubectl: Kubectl, name: str) -> None:
    start_run(kubectl, name)
    keep_waiting(kubectl, pods(kubectl, name, "generator")[0], "ImagePullBackOff", "Back-off pulling image")
    ready = wait_for_condition(kubectl, name, "GeneratorsReady", "ImagePullFailed")
    assert "grpo-trainer-cpu:test" in ready["message"]
    assert "generators.image" in ready["message"]


def test_a_missing_claim_fails_the_run(kubectl: Kubectl, without_claim: str) -> None:
    run = wait_for_phase(kubectl, without_claim, "Failed", 60)
    failed = condition(run, "Failed")
    assert failed is not None
    assert failed["reason"] == "ClaimNotFound"
    assert children(kubectl, without_claim) == {}


def test_a_learner_whose_node_never_says_that_it_has_ended_is_a_restart(
    kubectl: Kubectl, on_a_lost_node: tuple[str, str]
) -> None:
    """Its Job does not count it as failed, as long as it may run."""
    name, lost = on_a_lost_node
    wait_for("attempt 2", lambda: kubectl.find("job", f"{name}-learner-2"), GONE_GRACE_S + 2 * SOON_S)
    failure = kubectl.get("grporun", name)["status"]["lastFailure"]
    assert (failure["reason"], failure["pod"]) == ("LearnerNodeLost", lost)
    wait_for_condition(kubectl, name, "LearnersReady", "AllReady")
