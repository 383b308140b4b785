"""Runs with benchmarks, their Jobs and pods, for tests of manifests and decisions."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from grpo_contract.benchmarks import BenchmarkScores
from grpo_contract.labels import BENCHMARK_LABEL, ROLE_LABEL, RUN_LABEL, RUN_UID_LABEL
from grpo_contract.progress import Progress, Stage, Steps
from grpo_operator.api.run import GRPORun
from grpo_operator.api.status import BenchmarkStatus
from grpo_operator.desired.manifest import Manifest
from grpo_operator.reconcile.observed import ObservedChild, ObservedJob, ObservedPod, observe
from grpo_operator.reconcile.plan import Plan
from grpo_operator.reconcile.reconcile import reconcile
from grpo_operator.reconcile.world import Reading, World
from grpo_operator.settings import BenchmarkSettings, BenchmarkTask, Settings
from unit.desired_inputs import TOKEN, UID, make_run, make_settings
from unit.observed_inputs import NAME, NOW, ago, container, ended

RECIPE = make_run().spec.recipe
BENCHMARKS = BenchmarkSettings(
    image="lighteval:1",
    command=("benchmark", "$(GRPO_MODEL)"),
    tasks=(BenchmarkTask(name="math_500", task="math_500|0"), BenchmarkTask(name="aime24", task="aime24|0")),
    gpus=2,
    timeout_s=3600,
)
SETTINGS = make_settings(None, BENCHMARKS)
FOLDER = f"/volume/runs/{NAME}-{UID[:8]}"


def benchmarked_run(**recipe: Any) -> GRPORun:
    return make_run(recipe=RECIPE | {"benchmarks": ["math_500", "aime24"]} | recipe)


def with_status(run: GRPORun, **status: Any) -> GRPORun:
    status = {"started_at": ago(500), "attempt": 1} | status
    return run.model_copy(update={"status": run.status.model_copy(update=status)})


def telling(*kept_models: int) -> Reading:
    steps = Steps(step=max(kept_models, default=0), max_steps=100)
    return Reading(Progress(attempt=1, stage=Stage.TRAINING, progress=steps, kept_models=list(kept_models)))


def look(
    run: GRPORun, *children: ObservedChild, settings: Settings = SETTINGS, now: datetime = NOW, **world: Any
) -> Plan:
    return reconcile(run, World(children=children, token=TOKEN, **world), settings, now)


def benchmark_job(
    target: str, *, suffix: str | None = None, conditions: tuple[Manifest, ...] = (), uid: str = UID
) -> ObservedJob:
    name = f"{NAME}-benchmark-{suffix or target.removeprefix('checkpoint-')}"
    metadata = {
        "name": name,
        "uid": f"job-{target}",
        "resourceVersion": "1",
        "creationTimestamp": ago(100),
        "labels": {RUN_LABEL: NAME, ROLE_LABEL: "benchmark", BENCHMARK_LABEL: target},
        "ownerReferences": [{"uid": uid, "controller": True}],
    }
    job = observe("Job", {"metadata": metadata, "status": {"conditions": list(conditions), "startTime": ago(100)}})
    assert isinstance(job, ObservedJob)
    return job


def benchmark_pod(target: str, *containers: Manifest, phase: str = "Running", **status: Any) -> ObservedPod:
    """`containers`: their statuses, the last one the report's."""
    labels = {RUN_LABEL: NAME, RUN_UID_LABEL: UID, ROLE_LABEL: "benchmark", BENCHMARK_LABEL: target}
    node = status.pop("node", None)
    metadata = {"name": f"pod-{target}", "uid": f"pod-{target}", "resourceVersion": "1", "labels": labels}
    inner = {"phase": phase, "initContainerStatuses": containers[:-1], "containerStatuses": containers[-1:]}
    spec = {"nodeName": node} if node else {}
    pod = observe("Pod", {"metadata": metadata, "spec": spec, "status": inner | status})
    assert isinstance(pod, ObservedPod)
    return pod


def pod_with_scores(target: str, scores: dict[str, dict[str, float]]) -> ObservedPod:
    text = BenchmarkScores(scores=scores).model_dump_json()
    return benchmark_pod(
        target,
        container("benchmark", terminated=ended(0, "Completed", "lighteval is done")),
        container("report", terminated=ended(0, "Completed", text)),
        phase="Succeeded",
    )


def entries_of(plan: Plan) -> dict[str, str]:
    """{target: phase}"""
    return {entry.target: entry.phase.value for entry in plan.status.benchmarks}


def entry(target: str, step: int, phase: str = "Pending", **fields: Any) -> BenchmarkStatus:
    return BenchmarkStatus.model_validate({"target": target, "step": step, "phase": phase} | fields)


def jobs_in(plan: Plan) -> Sequence[str]:
    """Names of the benchmark Jobs to be made."""
    names = [child.manifest["metadata"]["name"] for child in plan.write if child.manifest["kind"] == "Job"]
    return [name for name in names if "-benchmark-" in name]
