"""The demo run, looked at while it runs: what the tests of test_demo.py assert about."""

import json
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.evaluation import evaluate
from demo.report import Stopwatch, summarize
from demo.volume import on_local_cluster
from e2e.access import Access, look_at_access
from e2e.port_forward import read_through
from grpo_contract.network import GENERATOR_PORT, LEARNER_HTTP_PORT, METRICS_PATH
from harness.command import said
from harness.installation import OPERATOR_NAMESPACE
from harness.kubectl import Kubectl, Manifest
from harness.layout import MANIFESTS
from harness.operator_pod import operator_away
from harness.outages import wait_through_outages
from harness.prometheus import Prometheus, Raised
from harness.runs import pods, versions, wait_for_phase, wait_for_step, wait_until_all_ready

VLLMS_OWN = re.compile(
    r"vllm:\w+ metric names should not contain ':'"
    r'|vllm:iteration_tokens_total non-counter metrics should not have "_total" suffix'
)
"""What promtool says of the names that vLLM gave its metrics, which we leave as they are."""
MISSED_WITHIN_S = 60.0
"""Prometheus learns from the API server that a pod is gone, and evaluates its rules every 2 s."""


@dataclass(frozen=True)
class SecondApply:
    output: str
    versions_before: dict[str, str]
    versions_after: dict[str, str]


@dataclass(frozen=True)
class Observed:
    started: float
    ended: float
    generators: list[str]
    second_apply: SecondApply
    lint: dict[str, list[str]]
    """What `promtool check metrics` complains about, by endpoint."""
    access: Access
    groups_meanwhile: list[list[dict[str, Any]]]
    """What `kubectl grpo completions` told while the run went on."""
    operator_pod_killed_at_step: int
    missed: set[Raised]
    """Alerts of the operator while it was away."""
    run: Manifest
    learners: list[Manifest]
    curve: list[dict[str, float]]
    """What learner 0 logged of each step."""
    report: dict[str, Any]
    """What `make demo` would write to build/demo.json."""


def observe_demo(cluster: Kubectl, namespace: Kubectl, elsewhere: Kubectl, prometheus: Prometheus) -> Observed:
    """`elsewhere`: a namespace without any run."""
    started, stopwatch = time.time(), Stopwatch()
    manifest = str(MANIFESTS / "demo.yaml")
    namespace("apply", "-f", manifest)
    wait_for_step(namespace, "demo", 2, timeout_s=400)
    wait_until_all_ready(namespace, "demo", 120)
    (learner, _), generators = pods(namespace, "demo", "learner"), pods(namespace, "demo", "generator")
    second_apply = apply_again(namespace, manifest)
    lint = lint_endpoints(cluster, namespace, learner, generators[0])
    access = look_at_access([namespace, elsewhere], learner, generators[0])
    groups = json.loads(said(namespace, "completions", "demo", "--last=3", "--output=json"))
    killed_at_step = int(namespace.get("grporun", "demo")["status"]["progress"]["step"])
    missed = kill_operator_until_missed(cluster, prometheus)
    run = wait_for_phase(namespace, "demo", "Succeeded", 600)
    with stopwatch.part("evaluation"):
        evaluation = evaluate(namespace, on_local_cluster, run["status"]["model"])
    return Observed(
        started=started,
        ended=time.time(),
        generators=[pod["metadata"]["name"] for pod in generators],
        second_apply=second_apply,
        lint=lint,
        access=access,
        groups_meanwhile=groups,
        operator_pod_killed_at_step=killed_at_step,
        missed=missed,
        run=run,
        learners=pods(namespace, "demo", "learner"),
        curve=evaluation["curve"],
        report=summarize(namespace, run, evaluation, stopwatch),
    )


def kill_operator_until_missed(cluster: Kubectl, prometheus: Prometheus) -> set[Raised]:
    struck_s = time.time()
    with operator_away(cluster):
        return wait_through_outages(
            "an alert", lambda: prometheus.raised(struck_s, alertname="GRPOOperatorDown"), MISSED_WITHIN_S
        )


def apply_again(namespace: Kubectl, manifest: str) -> SecondApply:
    """The same manifest, when no child changes by itself any more."""
    before = versions(namespace, "demo")
    output = namespace("apply", "-f", manifest)
    step = namespace.get("grporun", "demo")["status"]["progress"]["step"]
    wait_for_step(namespace, "demo", step + 2)  # so the operator has looked at the run since
    return SecondApply(output, before, versions(namespace, "demo"))


def lint_endpoints(
    cluster: Kubectl, namespace: Kubectl, learner: Manifest, generator: Manifest
) -> dict[str, list[str]]:
    """`learner` is learner 0."""
    assert cluster.programs is not None
    inside = cluster.within(OPERATOR_NAMESPACE)
    (operator,) = inside.find_all("pod", "app.kubernetes.io/name=grpo-operator")
    endpoints = {
        "operator": (inside, operator, 8080),
        "learner": (namespace, learner, LEARNER_HTTP_PORT),
        "generator": (namespace, generator, GENERATOR_PORT),
    }
    return {
        name: promtool_check(cluster.programs, read_through(kubectl, pod["metadata"]["name"], port, METRICS_PATH))
        for name, (kubectl, pod, port) in endpoints.items()
    }


def promtool_check(programs: Path, exposition: bytes) -> list[str]:
    """What it complains about, but for vLLM's own names. Of nothing it would say nothing."""
    assert any(line and not line.startswith(b"#") for line in exposition.splitlines()), "no metrics are exposed"
    command = [str(programs / "promtool"), "check", "metrics"]
    done = subprocess.run(command, input=exposition, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    complaints = done.stdout.decode().splitlines()
    assert (done.returncode != 0) is bool(complaints), f"promtool ended with {done.returncode} and said {complaints}"
    return [line for line in complaints if not VLLMS_OWN.fullmatch(line)]
