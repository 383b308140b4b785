"""The operator against a real API server with its controllers; pods are simulated, and their fate is ours to write."""

import itertools
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.operator_process import LEASE_NAME, NAMESPACE, Operator, operator_kubeconfig, running_operator
from e2e.progress_server import serving_progress
from e2e.simulated_cluster import simulated_cluster
from e2e.simulated_runs import (
    RECIPE,
    SOON_S,
    children,
    delete_pod,
    end_pod,
    give_address,
    keep_waiting,
    pods,
    run_manifest,
    start_run,
    versions,
)
from grpo_contract.failure import DATASET_NOT_FOUND, USER_ERROR_EXIT_CODE, Failure
from grpo_contract.progress import CheckpointProgress, GeneratorProgress, Metrics, Progress, Stage, Steps
from harness.kubectl import Kubectl, Manifest, condition
from harness.waiting import wait_for

NUMBERS = itertools.count(1)
WRITES = ("PATCH", "POST", "DELETE")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("simulated")


@pytest.fixture(scope="module")
def kubectl(folder: Path) -> Iterator[Kubectl]:
    with simulated_cluster(folder) as kubectl:
        yield kubectl


@pytest.fixture(scope="module")
def kubeconfig(kubectl: Kubectl, folder: Path) -> Path:
    return operator_kubeconfig(kubectl, folder)


@pytest.fixture(scope="class")
def operator(kubeconfig: Path, folder: Path) -> Iterator[Operator]:
    """One that acts on news alone: its full pass is an hour away."""
    with running_operator(kubeconfig, folder, fullPassS=3600, progressIntervalS=1) as operator:
        yield operator


@pytest.fixture
def name(kubectl: Kubectl) -> Iterator[str]:
    """Of the test's run, which is deleted in the end."""
    name = f"run-{next(NUMBERS)}"
    yield name
    kubectl("delete", "grporun", name, "--ignore-not-found")
    wait_for(f"the end of {name}", lambda: not children(kubectl, name), 60)
    kubectl("delete", "pv", f"{name}-volume", "--ignore-not-found", "--wait=false")


def wait_for_condition(kubectl: Kubectl, name: str, kind: str, reason: str, timeout_s: float = SOON_S) -> Manifest:
    def look() -> Manifest | None:
        found = condition(kubectl.get("grporun", name), kind)
        return found if found and found["reason"] == reason else None

    return wait_for(f"{kind} of {name} with reason {reason}", look, timeout_s, 0.1)


def wait_for_phase(kubectl: Kubectl, name: str, phase: str, timeout_s: float = SOON_S) -> Manifest:
    def look() -> Manifest | None:
        run = kubectl.get("grporun", name)
        return run if run.get("status", {}).get("phase") == phase else None

    return wait_for(f"{name} {phase}", look, timeout_s, 0.1)


def wait_for_look(kubectl: Kubectl) -> None:
    """Until the operator has dealt with everything that happened before: it sees a new run through to ready pods."""
    name = f"run-{next(NUMBERS)}"
    start_run(kubectl, name)
    kubectl("delete", "grporun", name)
    wait_for(f"the end of {name}", lambda: not children(kubectl, name), 60)
    kubectl("delete", "pv", f"{name}-volume", "--wait=false")


def events(kubectl: Kubectl, name: str) -> list[tuple[str, str]]:
    listed = kubectl(
        "get",
        "events.events.k8s.io",
        "-o",
        "jsonpath={range .items[*]}{.regarding.kind}/{.regarding.name} {.type} {.reason}{'\\n'}{end}",
    )
    lines = [line.split() for line in listed.splitlines()]
    return sorted((line[1], line[2]) for line in lines if line[0] == f"GRPORun/{name}")


def count(operator: Operator, metric: str, *labels: str) -> float:
    lines = (line.rsplit(" ", 1) for line in operator.read("/metrics").splitlines() if line.startswith(metric + "{"))
    return sum(float(value) for series, value in lines if not labels or any(f'"{label}"' in series for label in labels))


@pytest.mark.usefixtures("operator")
class TestChildren:
    def test_all_are_created_and_owned(self, kubectl: Kubectl, name: str) -> None:
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

    def test_a_second_apply_writes_nothing(self, kubectl: Kubectl, name: str) -> None:
        start_run(kubectl, name)
        before = versions(kubectl, name)
        kubectl.apply(run_manifest(name))
        wait_for_look(kubectl)
        assert versions(kubectl, name) == before

    def test_a_note_on_the_run_writes_nothing_else(self, kubectl: Kubectl, name: str) -> None:
        start_run(kubectl, name)
        before = versions(kubectl, name)
        kubectl("annotate", "grporun", name, "note=seen")
        wait_for_look(kubectl)
        after = versions(kubectl, name)
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
    def test_a_deleted_one_comes_back(self, kubectl: Kubectl, name: str, child: str) -> None:
        start_run(kubectl, name)
        kind, child_name = child.format(name).split("/")
        uid = kubectl.get(kind, child_name)["metadata"]["uid"]
        kubectl("delete", kind, child_name)

        def look() -> bool:
            found = kubectl.find(kind, child_name)
            return found is not None and found["metadata"]["uid"] != uid

        wait_for(f"a new {child_name}", look, SOON_S, 0.1)

    def test_a_changed_one_is_repaired(self, kubectl: Kubectl, name: str) -> None:
        start_run(kubectl, name)
        right = kubectl.get("configmap", f"{name}-config")["data"]
        kubectl("patch", "configmap", f"{name}-config", "--type=merge", "--patch", '{"data":{"run.json":"{}"}}')
        kubectl("scale", "deployment", f"{name}-generator", "--replicas=0")
        wait_for("the config", lambda: kubectl.get("configmap", f"{name}-config")["data"] == right, SOON_S, 0.1)
        wait_for(
            "replicas", lambda: kubectl.get("deployment", f"{name}-generator")["spec"]["replicas"] == 2, SOON_S, 0.1
        )

    def test_scaling_generators_leaves_running_ones_alone(self, kubectl: Kubectl, name: str) -> None:
        start_run(kubectl, name)
        before = {pod["metadata"]["uid"] for pod in pods(kubectl, name, "generator")}
        kubectl("scale", "grporun", name, "--replicas=3")
        wait_for(
            "a third generator", lambda: kubectl.get("grporun", name)["status"]["generators"]["ready"] == 3, SOON_S, 0.1
        )
        after = {pod["metadata"]["uid"] for pod in pods(kubectl, name, "generator")}
        assert before < after
        assert len(after) == 3

    def test_deleting_the_run_removes_all(self, kubectl: Kubectl, name: str) -> None:
        start_run(kubectl, name)
        kubectl("delete", "grporun", name)
        wait_for("the removal of all children", lambda: not children(kubectl, name), 60)

    def test_a_retained_claim_stays_and_is_taken_up_again(self, kubectl: Kubectl, name: str) -> None:
        storage = {"size": "1Gi", "retain": True}
        start_run(kubectl, name, storage=storage)
        claim = kubectl.get("pvc", f"{name}-volume")["metadata"]["uid"]
        kubectl("delete", "grporun", name)
        wait_for(
            "the removal of the others",
            lambda: list(children(kubectl, name)) == [f"PersistentVolumeClaim/{name}-volume"],
            60,
        )
        start_run(kubectl, name, storage=storage)
        assert kubectl.get("pvc", f"{name}-volume")["metadata"]["uid"] == claim
        kubectl("delete", "grporun", name)
        kubectl("delete", "pvc", f"{name}-volume", "--wait=false")

    def test_a_new_run_of_an_old_name_starts_when_the_old_one_is_gone(self, kubectl: Kubectl, name: str) -> None:
        start_run(kubectl, name)
        kubectl("delete", "grporun", name)
        kubectl.apply(run_manifest(name))
        uid = kubectl.get("grporun", name)["metadata"]["uid"]

        def owners() -> list[list[str]]:
            made = children(kubectl, name).values()
            return [[owner["uid"] for owner in child["metadata"]["ownerReferences"]] for child in made]

        wait_for("its own nine children", lambda: owners() == 9 * [[uid]], 60, 0.1)


@pytest.mark.usefixtures("operator")
class TestRefusal:
    def test_an_owned_key_starts_nothing(self, kubectl: Kubectl, name: str) -> None:
        kubectl.apply(run_manifest(name, recipe=RECIPE | {"output_dir": "/tmp/x"}))
        accepted = wait_for_condition(kubectl, name, "Accepted", "OwnedKey")
        assert accepted["status"] == "False"
        assert "output_dir" in accepted["message"]
        assert kubectl.get("grporun", name)["status"]["phase"] == "Pending"
        assert children(kubectl, name) == {}
        wait_for("the Event", lambda: events(kubectl, name) == [("Warning", "OwnedKey")], SOON_S)

    def test_a_missing_claim_fails_the_run(self, kubectl: Kubectl, name: str) -> None:
        kubectl.apply(run_manifest(name, storage={"claimName": "none-such"}))
        ready = wait_for_condition(kubectl, name, "StorageReady", "ClaimNotFound")
        assert "storage.claimName 'none-such'" in ready["message"]
        run = wait_for_phase(kubectl, name, "Failed", 60)
        failed = condition(run, "Failed")
        assert failed is not None
        assert failed["reason"] == "ClaimNotFound"
        assert children(kubectl, name) == {}

    @pytest.mark.parametrize(("kind", "suffix"), [("secret", "token"), ("configmap", "config")])
    def test_a_name_that_somebody_else_has(self, kubectl: Kubectl, name: str, kind: str, suffix: str) -> None:
        arguments = [kind, "generic"] if kind == "secret" else [kind]
        kubectl("create", *arguments, f"{name}-{suffix}", "--from-literal=theirs=1")
        theirs = kubectl.get(kind, f"{name}-{suffix}")
        kubectl.apply(run_manifest(name))
        accepted = wait_for_condition(kubectl, name, "Accepted", "NameTaken")
        assert f"{name}-{suffix}" in accepted["message"]
        assert kubectl.get(kind, f"{name}-{suffix}") == theirs
        kubectl("delete", kind, f"{name}-{suffix}")

    def test_a_quota_is_named_and_the_run_starts_when_it_is_lifted(self, kubectl: Kubectl, name: str) -> None:
        kubectl("create", "quota", "no-jobs", "--hard=count/jobs.batch=0")
        wait_for("the quota", lambda: kubectl.get("quota", "no-jobs").get("status", {}).get("hard"), SOON_S)
        kubectl.apply(run_manifest(name))
        accepted = wait_for_condition(kubectl, name, "Accepted", "ChildRefused")
        assert "no-jobs" in accepted["message"]
        kubectl("delete", "quota", "no-jobs")
        # Any news of the run makes the operator look at it before its minute is over.
        kubectl("patch", "grporun", name, "--type=merge", "--patch", '{"spec":{"maxRestarts":4}}')
        assert wait_for_condition(kubectl, name, "Accepted", "Accepted")["status"] == "True"


@pytest.mark.usefixtures("operator")
class TestFate:
    def test_progress_comes_into_the_status(self, kubectl: Kubectl, name: str) -> None:
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

    def test_a_run_that_stands_still_is_not_written_to(self, kubectl: Kubectl, operator: Operator, name: str) -> None:
        start_run(kubectl, name)
        with serving_progress("127.9.4.2", Progress(attempt=1, stage=Stage.TRAINING)) as server:
            give_address(kubectl, pods(kubectl, name, "learner")[0], server.address)
            wait_for_phase(kubectl, name, "Running")
            before, asked, writes = (
                versions(kubectl, name),
                server.requests,
                count(operator, "rest_client_requests_total", *WRITES),
            )
            wait_for("three more looks", lambda: server.requests >= asked + 3, SOON_S, 0.1)
            assert versions(kubectl, name) == before
            assert count(operator, "rest_client_requests_total", *WRITES) == writes

    def test_success(self, kubectl: Kubectl, name: str) -> None:
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

    def test_a_failed_learner_is_restarted_and_generators_are_left_alone(
        self, kubectl: Kubectl, operator: Operator, name: str
    ) -> None:
        start_run(kubectl, name)
        deployment = kubectl.get("deployment", f"{name}-generator")["metadata"]
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
        after = kubectl.get("deployment", f"{name}-generator")["metadata"]
        assert (after["uid"], after["generation"]) == (deployment["uid"], deployment["generation"])
        assert {pod["metadata"]["uid"] for pod in pods(kubectl, name, "generator")} == generators
        selector = kubectl.get("service", f"{name}-learner")["spec"]["selector"]
        assert selector["grpo.dev/attempt"] == "2"
        assert ("Warning", "GeneratorsLost") in events(kubectl, name)
        assert count(operator, "grpo_run_restarts_total", "GeneratorsLost") == restarts + 1

    def test_a_deleted_learner_is_a_restart(self, kubectl: Kubectl, name: str) -> None:
        start_run(kubectl, name)
        delete_pod(kubectl, pods(kubectl, name, "learner")[1])
        wait_for("attempt 2", lambda: kubectl.find("job", f"{name}-learner-2"), SOON_S, 0.1)
        assert kubectl.get("grporun", name)["status"]["lastFailure"]["reason"] == "LearnerPodLost"

    def test_no_restart_beyond_the_limit(self, kubectl: Kubectl, name: str) -> None:
        start_run(kubectl, name, maxRestarts=0)
        end_pod(kubectl, pods(kubectl, name, "learner")[0], 137, reason="OOMKilled")
        run = wait_for_phase(kubectl, name, "Failed")
        failed = condition(run, "Failed")
        assert failed is not None
        assert failed["reason"] == "MaxRestartsExceeded"
        assert "learners.resources.limits.memory" in failed["message"]
        assert run["status"]["lastFailure"]["reason"] == "OOMKilled"

    def test_a_users_mistake_is_not_tried_again(self, kubectl: Kubectl, name: str) -> None:
        start_run(kubectl, name)
        failure = Failure(reason=DATASET_NOT_FOUND, message="recipe.dataset_name 'd': no such folder; correct it.")
        end_pod(kubectl, pods(kubectl, name, "learner")[0], USER_ERROR_EXIT_CODE, failure.model_dump_json())
        run = wait_for_phase(kubectl, name, "Failed")
        failed = condition(run, "Failed")
        assert failed is not None
        assert (failed["reason"], failed["message"]) == (DATASET_NOT_FOUND, failure.message)
        assert run["status"]["attempt"] == 1
        wait_for("the generators' removal", lambda: kubectl.find("deployment", f"{name}-generator") is None, SOON_S)
        assert kubectl.find("job", f"{name}-learner-1") is not None
        assert ("Warning", DATASET_NOT_FOUND) in events(kubectl, name)

    def test_a_generator_that_cannot_work_fails_the_run(self, kubectl: Kubectl, name: str) -> None:
        start_run(kubectl, name)
        failure = Failure(reason="ModelNotFound", message="recipe.model_name_or_path 'm': no such model; correct it.")
        end_pod(kubectl, pods(kubectl, name, "generator")[0], USER_ERROR_EXIT_CODE, failure.model_dump_json())
        run = wait_for_phase(kubectl, name, "Failed")
        failed = condition(run, "Failed")
        assert failed is not None
        assert failed["reason"] == "ModelNotFound"
        wait_for("the end of learners", lambda: kubectl.find("job", f"{name}-learner-1") is None, SOON_S)

    def test_an_image_that_cannot_be_pulled_is_named(self, kubectl: Kubectl, name: str) -> None:
        start_run(kubectl, name)
        keep_waiting(kubectl, pods(kubectl, name, "generator")[0], "ImagePullBackOff", "Back-off pulling image")
        ready = wait_for_condition(kubectl, name, "GeneratorsReady", "ImagePullFailed")
        assert "grpo-trainer-cpu:test" in ready["message"]
        assert "generators.image" in ready["message"]


class TestProcess:
    """These start operators of their own, each when the lease is free."""

    @pytest.fixture(autouse=True)
    def _free_lease(self, kubectl: Kubectl) -> None:
        kubectl.within(NAMESPACE)("delete", "lease", LEASE_NAME, "--ignore-not-found")

    def test_a_restart_writes_nothing(self, kubectl: Kubectl, kubeconfig: Path, folder: Path, name: str) -> None:
        with running_operator(kubeconfig, folder, "before", fullPassS=3600) as operator:
            start_run(kubectl, name)
            operator.stop()
        before = versions(kubectl, name)
        with running_operator(kubeconfig, folder, "after", fullPassS=3600) as operator:
            wait_for("a look", lambda: count(operator, "controller_runtime_reconcile_total") >= 1, SOON_S, 0.1)
            assert count(operator, "rest_client_requests_total", *WRITES) == 0
            assert versions(kubectl, name) == before

    def test_a_full_pass_repairs_what_changed_meanwhile(
        self, kubectl: Kubectl, kubeconfig: Path, folder: Path, name: str
    ) -> None:
        with running_operator(kubeconfig, folder, "before", fullPassS=3600) as operator:
            start_run(kubectl, name)
            operator.stop()
        kubectl("scale", "deployment", f"{name}-generator", "--replicas=1")
        with running_operator(kubeconfig, folder, "after", fullPassS=2) as operator:
            wait_for(
                "replicas", lambda: kubectl.get("deployment", f"{name}-generator")["spec"]["replicas"] == 2, SOON_S
            )
            settled = versions(kubectl, name)
            looks = count(operator, "controller_runtime_reconcile_total")
            wait_for("three looks", lambda: count(operator, "controller_runtime_reconcile_total") >= looks + 3, SOON_S)
            unchanged = versions(kubectl, name)
            unchanged["run"] = settled["run"] = ""  # the third pod's readiness is news for the status
            unchanged[f"Deployment/{name}-generator"] = settled[f"Deployment/{name}-generator"] = ""
            assert unchanged == settled

    def test_one_replica_works_at_a_time(self, kubectl: Kubectl, kubeconfig: Path, folder: Path, name: str) -> None:
        with running_operator(kubeconfig, folder, "one") as one:
            wait_for("a leader", lambda: holder(kubectl) != "", SOON_S, 0.1)
            first = holder(kubectl)
            with running_operator(kubeconfig, folder, "two") as two:
                start_run(kubectl, name)
                assert holder(kubectl) == first
                assert count(two, "controller_runtime_reconcile_total") == 0
                assert count(two, "rest_client_requests_total", *WRITES) == 0
                stopped_at = time.monotonic()
                assert one.stop() == 0
                wait_for("the other to take over", lambda: holder(kubectl) not in ("", first), 10, 0.1)
                assert time.monotonic() - stopped_at < 5, "the lease was not given back"
                wait_for("a look", lambda: count(two, "controller_runtime_reconcile_total") >= 1, SOON_S, 0.1)

    def test_a_killed_leader_is_followed_when_its_lease_runs_out(
        self, kubectl: Kubectl, kubeconfig: Path, folder: Path
    ) -> None:
        with running_operator(kubeconfig, folder, "one") as one:
            wait_for("a leader", lambda: holder(kubectl) != "", SOON_S, 0.1)
            first = holder(kubectl)
            with running_operator(kubeconfig, folder, "two"):
                killed_at = time.monotonic()
                one.stop(signal.SIGKILL)
                wait_for("the other to take over", lambda: holder(kubectl) not in ("", first), 30, 0.1)
                assert time.monotonic() - killed_at > 5, "a lease that had not run out was taken"

    def test_a_leader_whose_lease_was_taken_ends(self, kubectl: Kubectl, kubeconfig: Path, folder: Path) -> None:
        with running_operator(kubeconfig, folder, "one") as one:
            wait_for("a leader", lambda: holder(kubectl) != "", SOON_S, 0.1)
            patch = '{"spec":{"holderIdentity":"another"}}'
            kubectl.within(NAMESPACE)("patch", "lease", LEASE_NAME, "--type=merge", "--patch", patch)
            assert one.process.wait(15) != 0
            assert "another replica has taken the lease" in one.log.read_text()


def holder(kubectl: Kubectl) -> str:
    lease = kubectl.within(NAMESPACE).find("lease", LEASE_NAME)
    return str(lease["spec"].get("holderIdentity", "")) if lease else ""
