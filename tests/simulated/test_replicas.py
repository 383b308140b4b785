"""The operator's own comings and goings: restarts, full passes, and one leader at a time. Each test starts its own."""

import signal
import time
from datetime import datetime
from pathlib import Path

import pytest

from grpo_operator.leader import DURATION_S, RENEW_EVERY_S
from harness.installation import OPERATOR_NAMESPACE, RELEASE
from harness.kubectl import Kubectl
from harness.runs import SOON_S, children, hold, pods, release, wait_for_phase, wait_until_all_ready
from harness.waiting import wait_for
from simulated.faulty_api import Asked, FaultyApi, Trouble, faulty_api
from simulated.kept_running import free_lease
from simulated.observed import WRITES, all_versions, count, kept, makers
from simulated.operator_process import Operator, running_operator
from simulated.runs import change, end_pod, start_run


@pytest.fixture(autouse=True)
def _free_lease(kubectl: Kubectl) -> None:
    free_lease(kubectl)


def test_a_restart_writes_nothing(kubectl: Kubectl, kubeconfig: Path, folder: Path, name: str) -> None:
    with running_operator(kubeconfig, folder, "before", fullPassS=3600) as operator:
        start_run(kubectl, name)
        operator.stop()
    before = all_versions(kubectl, name)
    with running_operator(kubeconfig, folder, "after", fullPassS=3600) as operator:
        wait_for("a look", lambda: count(operator, "controller_runtime_reconcile_total") >= 1, SOON_S, 0.1)
        assert count(operator, "rest_client_requests_total", *WRITES) == 0
        assert all_versions(kubectl, name) == before


def test_another_version_leaves_the_pods_of_an_attempt_alone(
    kubectl: Kubectl, kubeconfig: Path, folder: Path, name: str
) -> None:
    """Until its next attempt, whose pods are all of the new one."""

    def images() -> set[str]:
        owners = (kubectl.get("deployment", f"{name}-generator"), *kubectl.find_all("job", f"grpo.dev/run={name}"))
        return {owner["spec"]["template"]["spec"]["containers"][0]["image"] for owner in owners}

    def generators() -> set[str]:
        return {pod["metadata"]["uid"] for pod in pods(kubectl, name, "generator")}

    with running_operator(kubeconfig, folder, "before", fullPassS=3600) as operator:
        start_run(kubectl, name)
        operator.stop()
    made, asked = generators(), kubectl.get("deployment", f"{name}-generator")["metadata"]["generation"]
    image = {"image": "grpo-trainer:newer", "cpuImage": "grpo-trainer:newer"}
    with running_operator(kubeconfig, folder, "after", fullPassS=1, learner=image, generator=image) as operator:
        wait_for("three looks", lambda: count(operator, "controller_runtime_reconcile_total") >= 3, SOON_S, 0.1)
        assert kubectl.get("deployment", f"{name}-generator")["metadata"]["generation"] == asked
        change(kubectl, name, generators={"replicas": 3})
        wait_for("a third generator", lambda: len(generators()) == 3, SOON_S, 0.1)
        assert images() == {"grpo-trainer-cpu:test"}
        assert generators() > made
        end_pod(kubectl, pods(kubectl, name, "learner")[0], 1)
        wait_for("the pods of attempt 2", lambda: images() == {"grpo-trainer:newer"}, SOON_S, 0.1)


def test_a_full_pass_repairs_what_changed_meanwhile(
    kubectl: Kubectl, kubeconfig: Path, folder: Path, name: str
) -> None:
    with running_operator(kubeconfig, folder, "before", fullPassS=3600) as operator:
        start_run(kubectl, name)
        operator.stop()
    kubectl("scale", "deployment", f"{name}-generator", "--replicas=1")
    with running_operator(kubeconfig, folder, "after", fullPassS=2) as operator:
        wait_for("replicas", lambda: kubectl.get("deployment", f"{name}-generator")["spec"]["replicas"] == 2, SOON_S)
        settled = all_versions(kubectl, name)
        looks = count(operator, "controller_runtime_reconcile_total")
        wait_for("three looks", lambda: count(operator, "controller_runtime_reconcile_total") >= looks + 3, SOON_S)
        unchanged = all_versions(kubectl, name)
        unchanged["run"] = settled["run"] = ""  # the third pod's readiness is news for the status
        unchanged[f"Deployment/{name}-generator"] = settled[f"Deployment/{name}-generator"] = ""
        assert unchanged == settled


def test_one_replica_works_at_a_time(kubectl: Kubectl, kubeconfig: Path, folder: Path, name: str) -> None:
    with running_operator(kubeconfig, folder, "one") as one:
        wait_for("a leader", lambda: holder(kubectl) != "", SOON_S, 0.1)
        first = holder(kubectl)
        with running_operator(kubeconfig, folder, "two") as two:
            start_run(kubectl, name)
            assert holder(kubectl) == first
            assert count(two, "controller_runtime_reconcile_total") == 0
            assert count(two, "rest_client_requests_total", *WRITES) == 0
            assert (count(one, "grpo_runs"), count(two, "grpo_runs"), count(two, "workqueue_depth")) == (1, 0, 0)
            stopped_at = time.monotonic()
            assert one.stop() == 0
            wait_for("the other to take over", lambda: holder(kubectl) not in ("", first), 15, 0.1)
            assert time.monotonic() - stopped_at < DURATION_S - RENEW_EVERY_S, "the lease was not given back"
            wait_for("a look", lambda: count(two, "controller_runtime_reconcile_total") >= 1, SOON_S, 0.1)
            assert count(two, "grpo_runs") == 1


def test_an_operator_that_is_killed_costs_a_suspended_run_nothing(
    kubectl: Kubectl, kubeconfig: Path, folder: Path, name: str
) -> None:
    with running_operator(kubeconfig, folder, "suspending", fullPassS=3600) as operator:
        start_run(kubectl, name)
        before = kept(kubectl, name)
        learner = pods(kubectl, name, "learner")[0]
        hold(kubectl, learner)
        change(kubectl, name, suspend=True)
        wait_for_phase(kubectl, name, "Suspending")
        operator.stop(signal.SIGKILL)
    release(kubectl, learner)
    free_lease(kubectl)
    with running_operator(kubeconfig, folder, "holding", fullPassS=3600) as operator:
        wait_for_phase(kubectl, name, "Suspended")
        assert makers(kubectl, name) == set()
        operator.stop(signal.SIGKILL)
    change(kubectl, name, suspend=False)
    free_lease(kubectl)
    with running_operator(kubeconfig, folder, "going-on", fullPassS=3600) as operator:
        wait_for("attempt 2", lambda: kubectl.find("job", f"{name}-learner-2"), SOON_S, 0.1)
        operator.stop(signal.SIGKILL)
    free_lease(kubectl)
    with running_operator(kubeconfig, folder, "training", fullPassS=3600):
        wait_until_all_ready(kubectl, name)
        status = kubectl.get("grporun", name)["status"]
        assert (status["attempt"], status["suspensions"], status["learners"]["restarts"]) == (2, 1, 0)
        assert kept(kubectl, name) == before
        assert set(children(kubectl, name, "job")) == {f"Job/{name}-learner-2"}


def test_a_killed_leader_is_followed_when_its_lease_runs_out(kubectl: Kubectl, kubeconfig: Path, folder: Path) -> None:
    with running_operator(kubeconfig, folder, "one") as one:
        wait_for("a leader", lambda: holder(kubectl) != "", SOON_S, 0.1)
        first = holder(kubectl)
        with running_operator(kubeconfig, folder, "two"):
            one.stop(signal.SIGKILL)
            last_renewed_at = lease_time(kubectl, "renewTime")
            wait_for("the other to take over", lambda: holder(kubectl) not in ("", first), 30, 0.1)
            took_s = (lease_time(kubectl, "acquireTime") - last_renewed_at).total_seconds()
            assert took_s > 5, "a lease that had not run out was taken"
            assert took_s < 15


def test_a_leader_whose_lease_was_taken_ends(kubectl: Kubectl, kubeconfig: Path, folder: Path) -> None:
    with running_operator(kubeconfig, folder, "one") as one:
        wait_for("a leader", lambda: holder(kubectl) != "", SOON_S, 0.1)
        patch = '{"spec":{"holderIdentity":"another"}}'
        kubectl.within(OPERATOR_NAMESPACE)("patch", "lease", RELEASE, "--type=merge", "--patch", patch)
        assert one.process.wait(15) != 0
        assert "another replica has taken the lease" in one.log.read_text()


def test_a_leader_that_stood_still_writes_nothing_when_it_goes_on(
    kubectl: Kubectl, kubeconfig: Path, folder: Path, name: str
) -> None:
    """It stands still while it waits for an answer to a write, which is there when it goes on: so more was to be written."""
    with (
        faulty_api(kubeconfig, folder, "of-one") as (api, its_kubeconfig),
        running_operator(its_kubeconfig, folder, "one", fullPassS=3600) as one,
    ):
        stopped = StoppedAtWrite(api, one)
        wait_for("a leader", lambda: holder(kubectl) != "", SOON_S, 0.1)
        first = holder(kubectl)
        with running_operator(kubeconfig, folder, "two", fullPassS=3600):
            stopped.is_wanted = True
            start_run(kubectl, name)
            assert holder(kubectl) not in ("", first)
            before = all_versions(kubectl, name)
            written = len(api.written)
            one.process.send_signal(signal.SIGCONT)
            assert one.process.wait(15) != 0
            assert api.written[written:] == []
            assert "the lease was not renewed within" in one.log.read_text()
            assert all_versions(kubectl, name) == before


class StoppedAtWrite:
    def __init__(self, api: FaultyApi, operator: Operator) -> None:
        self.is_wanted = False
        self._operator = operator
        api.done = self.stop

    def stop(self, asked: Asked) -> Trouble:
        if self.is_wanted:
            self._operator.process.send_signal(signal.SIGSTOP)
        return None


def holder(kubectl: Kubectl) -> str:
    lease = kubectl.within(OPERATOR_NAMESPACE).find("lease", RELEASE)
    return str(lease["spec"].get("holderIdentity", "")) if lease else ""


def lease_time(kubectl: Kubectl, field: str) -> datetime:
    return datetime.fromisoformat(kubectl.within(OPERATOR_NAMESPACE).get("lease", RELEASE)["spec"][field])
