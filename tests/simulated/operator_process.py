"""The operator as a process of this machine, with exactly the permissions that the chart gives it and not one more."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from harness.daemons import daemon, free_port
from harness.installation import OPERATOR_NAMESPACE, RELEASE
from harness.kubectl import Kubectl
from harness.layout import CHART, PRODUCT_PATH
from harness.waiting import wait_for

ACCOUNT = RELEASE
"""As the chart names it."""
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
def running_operator(
    kubeconfig: Path, folder: Path, name: str = "operator", clock: dict[str, str] | None = None, **settings: Any
) -> Iterator[Operator]:
    """`settings` win over SETTINGS; `clock`: its environment by `moved_clock`. The process is up, but need not lead yet."""
    port, log = free_port(), folder / f"{name}.log"
    command = operator_command(write_settings(folder, name, **settings), port)
    with daemon(command, log, operator_environment(kubeconfig) | (clock or {})) as process:
        operator = Operator(process, port, log)
        wait_for(f"{name} (its log is {log})", lambda: _answers(operator), 30, interval_s=0.05)
        yield operator


def write_settings(folder: Path, name: str, **settings: Any) -> Path:
    """`settings` win over SETTINGS."""
    file = folder / f"{name}.json"
    file.write_text(json.dumps(SETTINGS | settings))
    return file


def operator_command(settings: Path, port: int) -> list[str]:
    return [sys.executable, "-m", "grpo_operator", "--settings", str(settings), "--port", str(port)]


def operator_environment(kubeconfig: Path) -> dict[str, str]:
    return os.environ | {
        "KUBECONFIG": str(kubeconfig),
        "PYTHONPATH": PRODUCT_PATH,
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def operator_kubeconfig(
    kubectl: Kubectl, folder: Path, namespace: str = OPERATOR_NAMESPACE, watch_namespaces: Sequence[str] = ()
) -> Path:
    """Of the service account of a release of the chart in this namespace, with the roles that the chart gives it."""
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    inside, everywhere = kubectl.within(namespace), replace(kubectl, namespace=None)
    everywhere("apply", "-f", "-", stdin=_account_and_roles(inside, watch_namespaces))
    token = inside("create", "token", ACCOUNT, "--duration=2h").strip()
    assert kubectl.kubeconfig is not None
    config = yaml.safe_load(kubectl.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": token}
    file = folder / f"{namespace}.kubeconfig"
    file.write_text(yaml.safe_dump(config))
    return file


def _account_and_roles(kubectl: Kubectl, watch_namespaces: Sequence[str]) -> str:
    """Each manifest names its namespace, which may be another than that of the release."""
    templates = [f"--show-only=templates/{name}.yaml" for name in ("serviceaccount", "rbac")]
    value = f"--set-json=watchNamespaces={json.dumps(watch_namespaces)}"
    return kubectl.helm("template", RELEASE, str(CHART), value, *templates)


def _answers(operator: Operator) -> bool:
    assert operator.process.poll() is None, f"the operator has ended:\n{operator.log.read_text()[-4000:]}"
    try:
        return operator.read("/healthz") == "ok"
    except OSError:
        return False
