"""The CRD of GRPORun on a cluster."""

from harness.kubectl import Kubectl, condition
from harness.layout import CRD, MANIFESTS
from harness.waiting import wait_for

NAME = "grporuns.grpo.dev"
SAMPLE = MANIFESTS / "minimal.yaml"
SOON_S = 30


def apply_crd(kubectl: Kubectl) -> None:
    """Returns when the API server has established it, with which a first request may still come too early."""
    kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CRD))
    wait_for(f"{NAME} to be established", lambda: _is_established(kubectl), SOON_S)


def wait_for_storage(kubectl: Kubectl) -> None:
    """Of a new kind the API server says for a moment that its storage is not ready."""
    create = ("create", "--dry-run=server", "-f", str(SAMPLE))
    wait_for("storage of GRPORuns", lambda: kubectl.attempt(*create).returncode == 0, SOON_S)


def _is_established(kubectl: Kubectl) -> bool:
    """`kubectl wait` fails at once while the conditions of a new CRD are still null."""
    found = condition(kubectl.get("crd", NAME), "Established")
    return found is not None and found["status"] == "True"
