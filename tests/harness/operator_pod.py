"""The operator's pod, and its end."""

from collections.abc import Iterator
from contextlib import contextmanager

from harness.installation import OPERATOR_NAMESPACE, RELEASE
from harness.kubectl import Kubectl, Manifest
from harness.outages import wait_through_outages

SELECTOR = "app.kubernetes.io/name=grpo-operator"


def kill_operator(cluster: Kubectl) -> None:
    """Returns when another one is ready."""
    inside = cluster.within(OPERATOR_NAMESPACE)
    old = _kill_pod(inside)
    wait_through_outages("a new operator pod", lambda: _is_replaced(inside, old["metadata"]["uid"]), 60)


@contextmanager
def operator_away(cluster: Kubectl) -> Iterator[None]:
    """It is killed, and another one comes when the block ends, and is ready then."""
    inside, deployment = cluster.within(OPERATOR_NAMESPACE), f"deployment/{RELEASE}"
    inside("scale", deployment, "--replicas=0")
    try:
        _kill_pod(inside)
        yield
    finally:
        inside("scale", deployment, "--replicas=1")
        inside("rollout", "status", deployment, "--timeout=60s")


def _kill_pod(inside: Kubectl) -> Manifest:
    (pod,) = inside.find_all("pod", SELECTOR)
    inside("delete", "pod", pod["metadata"]["name"], "--grace-period=0", "--force", "--ignore-not-found")
    return pod


def _is_replaced(inside: Kubectl, old_uid: str) -> bool:
    running = [pod for pod in inside.find_all("pod", SELECTOR) if pod["metadata"]["uid"] != old_uid]
    return any(status["ready"] for pod in running for status in pod["status"].get("containerStatuses", []))
