"""The operator as a process of this machine, with exactly the permissions that it declares and not one more."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from grpo_operator.permissions import PERMISSIONS, Permission
from harness.daemons import daemon, free_port
from harness.installation import OPERATOR_NAMESPACE, RELEASE
from harness.kubectl import Kubectl, Manifest
from harness.layout import ROOT
from harness.waiting import wait_for

ACCOUNT = "operator"
SETTINGS: dict[str, Any] = {
    "learner": {"image": "grpo-trainer:test", "cpuImage": "grpo-trainer-cpu:test"},
    "generator": {"image": "grpo-trainer:test", "cpuImage": "grpo-trainer-cpu:test"},
    "operatorNamespace": OPERATOR_NAMESPACE,
    "operatorLabels": {"app.kubernetes.io/name": "grpo-operator"},
    "leaseName": RELEASE,
}


@dataclass(frozen=True)
class Operator:
    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def read(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
            text: str = answer.read().decode()
        return text

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=15)


@contextmanager
def running_operator(kubeconfig: Path, folder: Path, name: str = "operator", **settings: Any) -> Iterator[Operator]:
    """`settings` win over SETTINGS. The process is up, but need not lead yet."""
    port = free_port()
    file, log = folder / f"{name}.json", folder / f"{name}.log"
    file.write_text(json.dumps(SETTINGS | settings))
    environment = os.environ | {
        "KUBECONFIG": str(kubeconfig),
        "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT / 'trainer_image'}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, "-m", "grpo_operator", "--settings", str(file), "--port", str(port)]
    with daemon(command, log, environment) as process:
        operator = Operator(process, port, log)
        wait_for(f"{name} (its log is {log})", lambda: _answers(operator), 30, interval_s=0.05)
        yield operator


def operator_kubeconfig(kubectl: Kubectl, folder: Path) -> Path:
    """Of a service account with the declared permissions."""
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": OPERATOR_NAMESPACE}})
    account = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": OPERATOR_NAMESPACE}
    everywhere = [permission for permission in PERMISSIONS if not permission.in_operator_namespace]
    at_home = [permission for permission in PERMISSIONS if permission.in_operator_namespace]
    kubectl.within(OPERATOR_NAMESPACE).apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT, "namespace": OPERATOR_NAMESPACE}},
        *_role("ClusterRole", everywhere, account),
        *_role("Role", at_home, account),
    )
    token = kubectl.within(OPERATOR_NAMESPACE)("create", "token", ACCOUNT, "--duration=2h").strip()
    assert kubectl.kubeconfig is not None
    config = yaml.safe_load(kubectl.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": token}
    file = folder / "operator.kubeconfig"
    file.write_text(yaml.safe_dump(config))
    return file


def _role(kind: str, permissions: list[Permission], account: Manifest) -> list[Manifest]:
    metadata = {"name": RELEASE} | ({"namespace": OPERATOR_NAMESPACE} if kind == "Role" else {})
    rules = [
        {"apiGroups": [entry.group], "resources": list(entry.resources), "verbs": list(entry.verbs)}
        for entry in permissions
    ]
    api_version = "rbac.authorization.k8s.io/v1"
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": RELEASE}
    return [
        {"apiVersion": api_version, "kind": kind, "metadata": metadata, "rules": rules},
        {
            "apiVersion": api_version,
            "kind": f"{kind}Binding",
            "metadata": metadata,
            "roleRef": reference,
            "subjects": [account],
        },
    ]


def _answers(operator: Operator) -> bool:
    assert operator.process.poll() is None, f"the operator has ended:\n{operator.log.read_text()[-4000:]}"
    try:
        return operator.read("/healthz") == "ok"
    except OSError:
        return False
