"""The demo run, looked at while it runs: what the tests of test_demo.py assert about."""

import re
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from demo.evaluation import Evaluation, evaluate
from demo.volume import on_local_cluster
from e2e.access import Access, look_at_access
from e2e.port_forward import read_through
from grpo_contract.network import GENERATOR_PORT, LEARNER_HTTP_PORT, METRICS_PATH
from harness.installation import OPERATOR_NAMESPACE, ROOT
from harness.kubectl import Kubectl, Manifest
from harness.runs import pods, versions, wait_for_condition, wait_for_phase, wait_for_step
from harness.waiting import wait_for

VLLMS_OWN = re.compile(
    r"vllm:\w+ metric names should not contain ':'"
    r'|vllm:iteration_tokens_total non-counter metrics should not have "_total" suffix'
)
"""What promtool says of the names that vLLM gave its metrics, which we leave as they are."""


@dataclass
class Observed:
    versions_before_apply: dict[str, str] = field(default_factory=dict)
    versions_after_apply: dict[str, str] = field(default_factory=dict)
    apply_output: str = ""
    lint: dict[str, list[str]] = field(default_factory=dict)
    """What `promtool check metrics` complains about, by endpoint."""
    started: float = 0.0
    ended: float = 0.0
    generators: list[str] = field(default_factory=list)
    operator_pod_killed_at_step: int = 0
    run: Manifest = field(default_factory=dict)
    access: Access | None = None
    learners: list[Manifest] = field(default_factory=list)
    evaluation: Evaluation = field(default_factory=dict)


def observe_demo(cluster: Kubectl, namespace: Kubectl, elsewhere: Kubectl) -> Observed:
    """`elsewhere`: a namespace without any run."""
    observed = Observed(started=time.time())
    manifest = str(ROOT / "manifests" / "demo.yaml")
    namespace("apply", "-f", manifest)
    wait_for_step(namespace, "demo", 2, timeout_s=400)
    observed.generators = [pod["metadata"]["name"] for pod in pods(namespace, "demo", "generator")]
    apply_again(namespace, manifest, observed)
    lint_endpoints(cluster, namespace, observed)
    observed.access = look_at_access(
        [namespace, elsewhere], pods(namespace, "demo", "learner")[0], pods(namespace, "demo", "generator")[0]
    )
    kill_operator(cluster, namespace, observed)
    observed.run = wait_for_phase(namespace, "demo", "Succeeded", 600)
    observed.ended = time.time()
    observed.learners = pods(namespace, "demo", "learner")
    observed.evaluation = evaluate(namespace, on_local_cluster, observed.run["status"]["model"])
    return observed


def apply_again(namespace: Kubectl, manifest: str, observed: Observed) -> None:
    """A second apply of the same manifest, when no child changes by itself any more."""
    for kind in ("LearnersReady", "GeneratorsReady"):
        wait_for_condition(namespace, "demo", kind, "AllReady", timeout_s=120)
    observed.versions_before_apply = versions(namespace, "demo")
    observed.apply_output = namespace("apply", "-f", manifest)
    step = namespace.get("grporun", "demo")["status"]["progress"]["step"]
    wait_for_step(namespace, "demo", step + 2)  # so the operator has looked at the run since
    observed.versions_after_apply = versions(namespace, "demo")


def lint_endpoints(cluster: Kubectl, namespace: Kubectl, observed: Observed) -> None:
    assert cluster.programs is not None
    (operator,) = cluster.within(OPERATOR_NAMESPACE).find_all("pod", "app.kubernetes.io/name=grpo-operator")
    endpoints = {
        "operator": (cluster.within(OPERATOR_NAMESPACE), operator["metadata"]["name"], 8080),
        "learner": (namespace, learner_0(namespace), LEARNER_HTTP_PORT),
        "generator": (namespace, observed.generators[0], GENERATOR_PORT),
    }
    for name, (kubectl, pod, port) in endpoints.items():
        observed.lint[name] = promtool_check(cluster.programs, read_through(kubectl, pod, port, METRICS_PATH))


def promtool_check(programs: Path, exposition: bytes) -> list[str]:
    command = [str(programs / "promtool"), "check", "metrics"]
    done = subprocess.run(command, input=exposition, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return [line for line in done.stdout.decode().splitlines() if not VLLMS_OWN.fullmatch(line)]


def learner_0(namespace: Kubectl) -> str:
    (pod,) = namespace.find_all("pod", "grpo.dev/run=demo,batch.kubernetes.io/job-completion-index=0")
    return str(pod["metadata"]["name"])


def kill_operator(cluster: Kubectl, namespace: Kubectl, observed: Observed) -> None:
    inside = cluster.within(OPERATOR_NAMESPACE)
    observed.operator_pod_killed_at_step = namespace.get("grporun", "demo")["status"]["progress"]["step"]
    (pod,) = inside.find_all("pod", "app.kubernetes.io/name=grpo-operator")
    inside("delete", "pod", pod["metadata"]["name"], "--grace-period=0", "--force")
    wait_for("a new operator pod", lambda: is_replaced(inside, pod["metadata"]["uid"]), 60)


def is_replaced(inside: Kubectl, old_uid: str) -> bool:
    running = [
        pod
        for pod in inside.find_all("pod", "app.kubernetes.io/name=grpo-operator")
        if pod["metadata"]["uid"] != old_uid
    ]
    return any(status["ready"] for pod in running for status in pod["status"].get("containerStatuses", []))
