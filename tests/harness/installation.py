"""The operator on a cluster: the local one (`tests/cluster`), or the one of the current kubectl context."""

import subprocess
import sys
from functools import cache
from pathlib import Path

from cluster.images import reference
from harness.bounded import run_bounded
from harness.crd import apply_crd
from harness.kubectl import Kubectl
from harness.layout import CHART, ROOT, TESTS

LOCAL_VALUES = Path(__file__).with_name("local-values.yaml")
OPERATOR_NAMESPACE = "grpo-system"
RELEASE = "grpo-operator"
BUILD_S = 3600.0
"""With nothing built and nothing cached, and another build of this machine before it."""
TOOL_S = 1800.0
"""The longest unpacks an image of several GB on a node."""
QUESTION_S = 300.0


def start_local_cluster() -> None:
    """Build what is missing and start the cluster, or leave a healthy one as it is."""
    tool("cluster", "up", deadline_s=BUILD_S)


def local_cluster() -> Kubectl:
    """The local cluster, which must run."""
    kubeconfig, programs = (tool_output("cluster", word) for word in ("kubeconfig", "bin"))
    return Kubectl(kubeconfig=Path(kubeconfig), programs=Path(programs))


def load_operator_image() -> None:
    """Build the image of the sources as they are, unless that exists, and give it to every node."""
    tool("cluster", "load", tool_output("images", "build", "operator", deadline_s=BUILD_S))


@cache
def trainer_environment() -> Path:
    """With the project as this checkout has it; made when it is missing."""
    command = ["make", "--silent", "--no-print-directory", "env-path-trainer"]
    return Path(run_bounded(command, ROOT, BUILD_S, subprocess.PIPE).split()[-1])


def trainer_image() -> str:
    """What pods of the local cluster run instead of an image of several GB: one for each state of the sources."""
    return reference(trainer_environment().name)


def load_trainer_image() -> None:
    tool("cluster", "load-environment", str(trainer_environment()))


def local_settings() -> list[str]:
    """Of the chart on the local cluster, as flags of helm."""
    images = (f"--set={value}={trainer_image()}" for value in ("trainer.cpuImage", "benchmarks.image"))
    return [f"--values={LOCAL_VALUES}", *images]


def install_operator(kubectl: Kubectl, *settings: str) -> None:
    """`helm upgrade --install` with these flags, and wait until it works."""
    inside = kubectl.within(OPERATOR_NAMESPACE)
    is_upgrade = inside.find("deployment", RELEASE) is not None
    inside.helm(
        "upgrade", "--install", RELEASE, str(CHART), "--create-namespace", "--wait", "--timeout=120s",
        *settings,
    )  # fmt: skip
    # Helm installs what lies in crds/ once and never again.
    apply_crd(kubectl)
    if is_upgrade:  # the tag may be the same and the image another
        inside("rollout", "restart", f"deployment/{RELEASE}")
        inside("rollout", "status", f"deployment/{RELEASE}", "--timeout=60s")


def tool(module: str, *arguments: str, deadline_s: float = TOOL_S) -> None:
    """Run one of the tools below tests/ (`cluster`, `images`), its output shown."""
    run_bounded([sys.executable, "-m", module, *arguments], TESTS, deadline_s)


def tool_output(module: str, *arguments: str, deadline_s: float = QUESTION_S, niceness: int = 0) -> str:
    """The last line of it. `niceness`: of a build beside which others measure time."""
    command = ["nice", "-n", str(niceness), sys.executable, "-m", module, *arguments]
    return run_bounded(command, TESTS, deadline_s, subprocess.PIPE).splitlines()[-1].strip()
