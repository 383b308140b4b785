"""The demo's namespace. It is made anew for each demo, and only one that a demo made is ever removed."""

from demo.errors import DemoError
from harness.kubectl import Kubectl, Manifest

NAMESPACE = "grpo-demo"
MADE_BY_DEMO = {"grpo.dev/made-by": "demo"}
"""On what the demo made on somebody's cluster, and may remove."""

MARK = ",".join(f"{key}={value}" for key, value in MADE_BY_DEMO.items())
"""The same on a command line."""

DELETION = "--timeout=120s"


def renew_namespace(kubectl: Kubectl, *, is_local: bool) -> None:
    """Without what an earlier demo left in it."""
    if there := kubectl.find("namespace", NAMESPACE):
        if not (is_local or is_made_by_demo(there)):
            raise DemoError(
                f"Namespace {NAMESPACE} exists and was not made by the demo, which would empty it: "
                "delete or rename what is in the way, or use another cluster."
            )
        kubectl("delete", "namespace", NAMESPACE, DELETION)
    kubectl.apply(build_namespace())


def remove_namespace(kubectl: Kubectl) -> str:
    """What was done, in one sentence."""
    there = kubectl.find("namespace", NAMESPACE)
    if there is None:
        return f"There is no namespace {NAMESPACE}."
    if not is_made_by_demo(there):
        return f"Namespace {NAMESPACE} stays: the demo did not make it."
    kubectl("delete", "namespace", NAMESPACE, DELETION)
    return f"Namespace {NAMESPACE} is removed."


def build_namespace() -> Manifest:
    labels = {"pod-security.kubernetes.io/enforce": "restricted", **MADE_BY_DEMO}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}


def is_made_by_demo(namespace: Manifest) -> bool:
    labels: dict[str, str] = namespace["metadata"].get("labels", {})
    return MADE_BY_DEMO.items() <= labels.items()
