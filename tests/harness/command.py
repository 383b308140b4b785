"""`kubectl grpo`, as a person types it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from select import select

from harness.kubectl import Kubectl
from harness.layout import PRODUCT_PATH

ANSWER_S = 120
"""Also of the pod that reads the volume when learners are gone."""


def grpo(kubectl: Kubectl, *arguments: str) -> subprocess.CompletedProcess[str]:
    """About runs of the namespace of `kubectl`."""
    environment = environment_of(kubectl)
    return subprocess.run(
        command_of(kubectl, *arguments), env=environment, capture_output=True, text=True, timeout=ANSWER_S
    )


def said(kubectl: Kubectl, *arguments: str) -> str:
    done = grpo(kubectl, *arguments)
    assert (done.returncode, done.stderr) == (0, ""), f"ended with {done.returncode}: {done.stderr}"
    return done.stdout


@contextmanager
def opened_page(kubectl: Kubectl, run: str) -> Iterator[str]:
    """The address that `kubectl grpo open` prints, until it is ended."""
    command = command_of(kubectl, "open", run, "--no-browser")
    with subprocess.Popen(command, env=environment_of(kubectl), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert select([process.stdout], [], [], ANSWER_S)[0], f"no address within {ANSWER_S} s"
            yield process.stdout.readline().strip()
        finally:
            process.terminate()
            process.wait(ANSWER_S)


def command_of(kubectl: Kubectl, *arguments: str) -> list[str]:
    where = (f"--kubeconfig={kubectl.kubeconfig}", f"--namespace={kubectl.namespace}")
    return [sys.executable, "-m", "grpo_cli", *arguments, *where]


def environment_of(kubectl: Kubectl) -> dict[str, str]:
    assert kubectl.programs is not None
    return os.environ | {"PATH": f"{kubectl.programs}:{os.environ['PATH']}", "PYTHONPATH": PRODUCT_PATH}
