"""kubectl in namespace `proof`, and the smallest pod: what all abilities are shown with."""

import json
import subprocess
from pathlib import Path

from cluster.images import reference
from cluster.layout import Manifest
from cluster.lifecycle import running_build
from cluster.processes import COMMAND_S, kubectl_command

NAMESPACE = "proof"
HOST_NAME = "kubernetes.io/hostname"
SUCCEEDED = "--for=jsonpath={.status.phase}=Succeeded"
NOT_ROOT: Manifest = {
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "runAsGroup": 65532,
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONFINED: Manifest = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def binaries() -> Path:
    return running_build().binaries


def attempt(*arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [*kubectl_command(binaries()), "-n", NAMESPACE, *arguments]
    return subprocess.run(command, check=False, input=text, capture_output=True, text=True, timeout=COMMAND_S)


def kubectl(*arguments: str, text: str | None = None) -> str:
    done = attempt(*arguments, text=text)
    assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
    return done.stdout


def apply(*manifests: Manifest) -> None:
    items = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
    kubectl("apply", "--server-side", "-f", "-", text=json.dumps(items))


def pod(
    name: str,
    script: str,
    *,
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    spec: Manifest | None = None,
    container: Manifest | None = None,
) -> Manifest:
    """A pod that runs a shell script once; `spec` and `container` are laid over it."""
    worker = {"name": "main", "image": reference("busybox"), "command": ["sh", "-c", script], **(container or {})}
    # A process 1 without handlers ignores SIGTERM: without the 0, deleting each of these pods would take 30 s.
    defaults = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [worker]}
    metadata = {"name": name, "labels": labels or {}, "annotations": annotations or {}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {**defaults, **(spec or {})}}


def on(node: str) -> Manifest:
    return {"nodeSelector": {HOST_NAME: node}}


def apart(labels: dict[str, str]) -> Manifest:
    """No two pods with these labels on one node."""
    term = {"topologyKey": HOST_NAME, "labelSelector": {"matchLabels": labels}}
    return {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


def network_policy_named(name: str, spec: Manifest) -> Manifest:
    metadata = {"name": name}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


def wait_for_end(*names: str) -> None:
    kubectl("wait", SUCCEEDED, *(f"pod/{name}" for name in names), "--timeout=60s")
