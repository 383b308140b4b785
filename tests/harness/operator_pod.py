"""The operator's pod, and its end."""

from harness.installation import OPERATOR_NAMESPACE
from harness.kubectl import Kubectl
from harness.outages import wait_through_outages

SELECTOR = "app.kubernetes.io/name=grpo-operator"


def kill_operator(cluster: Kubectl) -> None:
    """Returns when another one is ready."""
    inside = cluster.within(OPERATOR_NAMESPACE)
    (pod,) = inside.find_all("pod", SELECTOR)
    inside("delete", "pod", pod["metadata"]["name"], "--grace-period=0", "--force")
    wait_through_outages("a new operator pod", lambda: _is_replaced(inside, pod["metadata"]["uid"]), 60)


def _is_replaced(inside: Kubectl, old_uid: str) -> bool:
    running = [pod for pod in inside.find_all("pod", SELECTOR) if pod["metadata"]["uid"] != old_uid]
    return any(status["ready"] for pod in running for status in pod["status"].get("containerStatuses", []))
