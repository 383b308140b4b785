"""Custom resource definitions on a cluster."""

from pathlib import Path

from harness.kubectl import Kubectl, condition
from harness.waiting import wait_for

NAME = "grporuns.grpo.dev"
ESTABLISHED_S = 30


def apply_crd(kubectl: Kubectl, path: Path) -> None:
    """Apply the file or folder that defines GRPORun; returns when the API server serves it."""
    kubectl("apply", "--server-side", "--force-conflicts", "-f", str(path))
    wait_for(f"{NAME} to be established", lambda: _is_established(kubectl), ESTABLISHED_S)


def _is_established(kubectl: Kubectl) -> bool:
    """`kubectl wait` fails at once while the conditions of a new CRD are still null."""
    found = condition(kubectl.get("crd", NAME), "Established")
    return found is not None and found["status"] == "True"
