"""Trouble of the infrastructure is named in a condition within 30 s of being visible, with what to do."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from harness.demo_runs import NO_NODE, small_run
from harness.kubectl import Kubectl, Manifest
from harness.namespaces import namespaces_with_volume
from harness.outages import wait_through_outages
from harness.runs import NAMED_S, pods, wait_for_condition

VISIBLE_S = 60


def cannot_pull(pod: Manifest) -> bool:
    waiting = [status["state"].get("waiting", {}) for status in pod["status"].get("containerStatuses", [])]
    return any(state.get("reason") in ("ErrImagePull", "ImagePullBackOff") for state in waiting)


def is_unschedulable(pod: Manifest) -> bool:
    return any(entry.get("reason") == "Unschedulable" for entry in pod["status"].get("conditions", []))


TROUBLE: dict[str, tuple[str, Callable[[Manifest], bool], str, str, str]] = {
    "image of a learner": (
        "learner", cannot_pull, "LearnersReady", "ImagePullFailed", "nowhere.invalid/missing:1",
    ),
    "node for a generator": (
        "generator", is_unschedulable, "GeneratorsReady", "Unschedulable", "nodeSelector",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def found(cluster: Kubectl, demo_claim: Kubectl) -> Iterator[dict[str, Future[Manifest]]]:
    """The conditions of a run with both troubles. Each has its own time, which begins when its pod shows it."""
    with namespaces_with_volume(cluster, demo_claim) as make, ThreadPoolExecutor() as pool:
        kubectl = make()
        kubectl.apply(
            small_run(
                "stuck",
                learners={"image": "nowhere.invalid/missing:1", "runtimeClassName": None},
                generators=NO_NODE,
            )
        )
        yield {trouble: pool.submit(wait_until_named, kubectl, trouble) for trouble in TROUBLE}


def wait_until_named(kubectl: Kubectl, trouble: str) -> Manifest:
    role, is_visible, kind, reason, _ = TROUBLE[trouble]
    wait_through_outages(
        f"{trouble} to be missed", lambda: any(map(is_visible, pods(kubectl, "stuck", role))), VISIBLE_S
    )
    # The condition was False before, for another reason, so its own time does not tell when it got this one.
    return wait_for_condition(kubectl, "stuck", kind, reason, NAMED_S)


@pytest.mark.parametrize("trouble", TROUBLE)
def test_trouble_is_named(found: dict[str, Future[Manifest]], trouble: str) -> None:
    condition, remedy = found[trouble].result(), TROUBLE[trouble][-1]
    assert condition["status"] == "False"
    assert remedy in condition["message"]
