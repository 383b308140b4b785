"""An operator with the chart's `watchNamespaces`: it may and does look after runs in these, and in no other namespace."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness.kubectl import Kubectl
from harness.runs import SOON_S, children, pods
from harness.waiting import wait_for
from simulated.cluster import wait_for_service_account
from simulated.observed import events
from simulated.operator_process import ACCOUNT, Operator, operator_kubeconfig, running_operator
from simulated.runs import end_pod, name_of_a_run, run_manifest, start_run

HOME, WATCHED, UNWATCHED = "grpo-of-teams", ("team-a", "team-b"), "team-c"


@pytest.fixture(scope="module", autouse=True)
def _namespaces(kubectl: Kubectl) -> None:
    for namespace in (*WATCHED, UNWATCHED):
        kubectl("create", "namespace", namespace)
        wait_for_service_account(kubectl.within(namespace))


@pytest.fixture(scope="module")
def operator(kubectl: Kubectl, folder: Path) -> Iterator[Operator]:
    kubeconfig = operator_kubeconfig(kubectl, folder, HOME, WATCHED)
    with running_operator(
        kubeconfig, folder, "of-teams", operatorNamespace=HOME, watchNamespaces=WATCHED, fullPassS=3600
    ) as operator:
        yield operator


@pytest.mark.parametrize("namespace", WATCHED)
def test_it_may_look_into_watched_namespaces_alone(kubectl: Kubectl, operator: Operator, namespace: str) -> None:
    assert may_watch_pods(kubectl, f"--namespace={namespace}") == "yes"
    assert may_watch_pods(kubectl, f"--namespace={UNWATCHED}") == "no"
    assert may_watch_pods(kubectl, "--all-namespaces") == "no"


def test_runs_of_watched_namespaces_are_looked_after_and_others_left_alone(
    kubectl: Kubectl, operator: Operator
) -> None:
    stranger = kubectl.within(UNWATCHED)
    with ExitStack() as runs:
        unwatched = runs.enter_context(name_of_a_run(stranger))
        stranger.apply(run_manifest(unwatched))
        for namespace in WATCHED:
            inside = kubectl.within(namespace)
            restart_a_run(inside, runs.enter_context(name_of_a_run(inside)))
        assert children(stranger, unwatched) == {}
        assert "status" not in stranger.get("grporun", unwatched)
    log = operator.log.read_text().lower()
    assert [line for line in log.splitlines() if "403" in line or "forbidden" in line or "permission" in line] == []


def may_watch_pods(kubectl: Kubectl, where: str) -> str:
    account = f"--as=system:serviceaccount:{HOME}:{ACCOUNT}"
    return kubectl.attempt("auth", "can-i", "watch", "pods", account, where).stdout.strip()


def restart_a_run(kubectl: Kubectl, name: str) -> None:
    """From the first child to a second attempt, in which the operator makes, watches and deletes what it has rights to."""
    start_run(kubectl, name)
    assert len(children(kubectl, name)) == 9
    end_pod(kubectl, pods(kubectl, name, "learner")[1], 1)
    wait_for("attempt 2", lambda: kubectl.find("job", f"{name}-learner-2"), SOON_S, 0.1)
    wait_for("the Event", lambda: events(kubectl, name) == [("Warning", "LearnerError")], SOON_S)
