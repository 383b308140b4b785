"""`kubectl grpo`, as a person types it, about a run on a real API server."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness.command import environment_of, grpo, said
from harness.kubectl import Kubectl
from harness.runs import SOON_S, pods, wait_for_phase
from harness.waiting import wait_for
from simulated.operator_process import Operator
from simulated.runs import run_manifest, start_run

pytestmark = pytest.mark.usefixtures("operator")


def test_it_says_what_a_run_waits_for(kubectl: Kubectl, operator: Operator, name: str) -> None:
    kubectl.apply(run_manifest(name, storage={"claimName": "not-there"}))
    wait_for_phase(kubectl, name, "Pending")

    def waits_for_its_volume() -> bool:
        return "ClaimNotFound" in said(kubectl, "why", name)

    wait_for("the reason", waits_for_its_volume, SOON_S, 0.5)
    first, second, *_ = said(kubectl, "why", name).splitlines()
    assert first.startswith(f"default/{name}: Pending, attempt 1")
    assert "StorageReady is False for" in second
    assert "not-there" in second
    assert json.loads(said(kubectl, "why", name, "-o", "json"))["why"][1].startswith("StorageReady is False for")


def test_it_shows_a_run(kubectl: Kubectl, name: str) -> None:
    start_run(kubectl, name)
    shown = said(kubectl, "top", name, "--once").splitlines()
    assert shown[0].startswith(f"default/{name}  Starting  attempt 1  started ")
    learners, generators = (pods(kubectl, name, role) for role in ("learner", "generator"))
    lines = [line.split()[:3] for line in shown]
    for role, of_role in (("learner", learners), ("generator", generators)):
        assert all([role, pod["metadata"]["name"], "Ready"] in lines for pod in of_role)
    told = json.loads(said(kubectl, "top", name, "-o", "json"))
    assert (told["name"], told["phase"], len(told["pods"])) == (name, "Starting", 4)
    done = grpo(kubectl, "metrics", name)
    assert (done.returncode, done.stdout) == (1, ""), "no kubelet has a log of it"
    assert done.stderr.startswith("error: ")


def test_it_changes_a_run(kubectl: Kubectl, name: str) -> None:
    start_run(kubectl, name)
    assert said(kubectl, "scale", name, "--generators", "3") == f"grporun/{name} gets 3 generators\n"
    assert kubectl.get("grporun", name)["spec"]["generators"]["replicas"] == 3
    told = json.loads(said(kubectl, "scale", name, "--generators", "2", "-o", "json"))
    assert told["spec"]["generators"]["replicas"] == 2
    for command, suspend in (("suspend", True), ("resume", False)):
        assert said(kubectl, command, name).startswith(f"grporun/{name} ")
        assert kubectl.get("grporun", name)["spec"]["suspend"] is suspend
        assert json.loads(said(kubectl, command, name, "-o", "json"))["spec"]["suspend"] is suspend


def completed(kubectl: Kubectl, folder: Path, *words: str) -> list[str]:
    """What kubectl itself offers in the place of the last word: it finds both programs on PATH."""
    assert kubectl.programs is not None
    for program, module in (("kubectl-grpo", "grpo_cli"), ("kubectl_complete-grpo", "grpo_cli.shell")):
        (folder / program).write_text(f'#!/bin/sh\nexec {sys.executable} -m {module} "$@"\n')
        (folder / program).chmod(0o755)
    environment = environment_of(kubectl)
    environment |= {"PATH": f"{folder}:{environment['PATH']}", "KUBECONFIG": str(kubectl.kubeconfig)}
    command = ["kubectl", "__complete", "grpo", *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    *found, directive = done.stdout.splitlines()
    assert directive == (":4" if found else ":0"), done.stderr
    return found


def test_the_shell_completes_commands_options_and_names(kubectl: Kubectl, name: str, tmp_path: Path) -> None:
    start_run(kubectl, name)
    assert completed(kubectl, tmp_path, "s") == ["suspend", "scale"]
    assert name in completed(kubectl, tmp_path, "why", "")
    assert completed(kubectl, tmp_path, "top", name[:-1]) == [name]
    assert completed(kubectl, tmp_path, "logs", name, "--ro") == ["--role"]
    assert completed(kubectl, tmp_path, "logs", name, "--role", "") == ["learner", "generator"]
    assert completed(kubectl, tmp_path, "top", "--context", "elsewhere", "") == []
    assert completed(kubectl, tmp_path, "check", "") == [], "kubectl offers files"


def test_a_run_that_is_not_there(kubectl: Kubectl) -> None:
    done = grpo(kubectl, "why", "nowhere")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == 'error: Error from server (NotFound): grporuns.grpo.dev "nowhere" not found\n'


def test_without_a_cluster(kubectl: Kubectl) -> None:
    done = grpo(kubectl, "top", "x", "--once", "--context=elsewhere")
    assert done.returncode == 1
    assert done.stderr == 'error: context "elsewhere" does not exist\n'
