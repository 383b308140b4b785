"""`kubectl grpo`, as a person types it."""

import os
import subprocess
import sys

from harness.kubectl import Kubectl
from harness.layout import PRODUCT_PATH

ANSWER_S = 120


def grpo(kubectl: Kubectl, *arguments: str) -> subprocess.CompletedProcess[str]:
    """About runs of the namespace of `kubectl`."""
    assert kubectl.programs is not None
    environment = os.environ | {
        "PATH": f"{kubectl.programs}:{os.environ['PATH']}",
        "PYTHONPATH": PRODUCT_PATH,
    }
    where = (f"--kubeconfig={kubectl.kubeconfig}", f"--namespace={kubectl.namespace}")
    command = [sys.executable, "-m", "grpo_cli", *arguments, *where]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=ANSWER_S)


def said(kubectl: Kubectl, *arguments: str) -> str:
    done = grpo(kubectl, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout
