"""Objects as the API server shows them, reduced to what decisions read; and looks at a run, for tests of decisions."""

from datetime import UTC, datetime, timedelta
from typing import Any

from grpo_contract.failure import Failure
from grpo_contract.labels import ATTEMPT_LABEL, JOB_INDEX_LABEL, ROLE_LABEL, RUN_LABEL, RUN_UID_LABEL
from grpo_contract.progress import GeneratorProgress, Metrics, Progress, Stage, Steps
from grpo_operator.api.run import GRPORun
from grpo_operator.api.status import Condition, ConditionType, GRPORunStatus
from grpo_operator.desired.children import build_children
from grpo_operator.desired.manifest import Manifest
from grpo_operator.reconcile.conditions import timestamp
from grpo_operator.reconcile.observed import (
    ObservedChild,
    ObservedClaim,
    ObservedDeployment,
    ObservedJob,
    ObservedPod,
    observe,
)
from grpo_operator.reconcile.plan import Plan
from grpo_operator.reconcile.reconcile import reconcile
from grpo_operator.reconcile.world import World
from unit.desired_inputs import TOKEN, UID, make_settings

NOW = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)
SETTINGS = make_settings()
NAME = "math"

EVERYTHING = {
    f"ConfigMap/{NAME}-config",
    f"Secret/{NAME}-token",
    f"PersistentVolumeClaim/{NAME}-volume",
    f"Service/{NAME}-learner",
    f"Service/{NAME}-generator",
    f"NetworkPolicy/{NAME}-learner",
    f"NetworkPolicy/{NAME}-generator",
    f"Deployment/{NAME}-generator",
    f"Job/{NAME}-learner-1",
}
"""Kind and name of each child of a run NAME."""

TRAINING = Progress(
    attempt=1,
    stage=Stage.TRAINING,
    progress=Steps(step=7, max_steps=20),
    metrics=Metrics(reward=0.5),
    weight_version="7",
    generators=[
        GeneratorProgress(name="a", in_sync=True, completions=4),
        GeneratorProgress(name="b", in_sync=False, completions=4),
    ],
)
"""What learner 0 reports in the middle of attempt 1."""


def ago(seconds: float) -> str:
    return timestamp(NOW - timedelta(seconds=seconds))


def look(run: GRPORun, *children: ObservedChild, now: datetime = NOW, **world: Any) -> Plan:
    return reconcile(run, World(children=children, token=TOKEN, **world), SETTINGS, now)


def then(run: GRPORun, plan: Plan) -> GRPORun:
    """The run after the plan's status was stored."""
    return run.model_copy(update={"status": plan.status})


def said(plan_or_status: Plan | GRPORunStatus, kind: ConditionType) -> tuple[str, str] | None:
    """Status and reason of a condition."""
    status = plan_or_status.status if isinstance(plan_or_status, Plan) else plan_or_status
    return next(((entry.status, entry.reason) for entry in status.conditions if entry.type is kind), None)


def message(plan: Plan, kind: ConditionType) -> str:
    return next(entry.message for entry in plan.status.conditions if entry.type is kind)


def written(plan: Plan) -> set[str]:
    return {f"{child.manifest['kind']}/{child.manifest['metadata']['name']}" for child in plan.write}


def with_conditions(run: GRPORun, *conditions: Condition, **status: Any) -> GRPORun:
    return run.model_copy(update={"status": GRPORunStatus(conditions=list(conditions), **status)})


def make_condition(kind: ConditionType, status: str, reason: str, since_s: float = 0) -> Condition:
    return Condition.model_validate(
        {
            "type": kind,
            "status": status,
            "reason": reason,
            "message": "m",
            "observedGeneration": 1,
            "lastTransitionTime": ago(since_s),
        }
    )


def all_children(run: GRPORun, attempt: int = 1) -> list[ObservedChild]:
    """As they are stored after a first look, before any controller has looked at them; pods left out."""
    wanted = build_children(run, SETTINGS, attempt, TOKEN)
    return [observe(child.manifest["kind"], stored(child.manifest)) for child in wanted]


def stored(manifest: Manifest, **metadata: Any) -> Manifest:
    """A manifest of ours as the API server gives it back."""
    added: Manifest = {
        "uid": f"uid-{manifest['metadata']['name']}",
        "resourceVersion": "1",
        "creationTimestamp": ago(0),
    }
    if manifest["kind"] in ("Deployment", "Job", "NetworkPolicy"):
        added["generation"] = 1
    return manifest | {"metadata": manifest["metadata"] | added | metadata}


def make_job(
    attempt: int = 1,
    *,
    conditions: tuple[Manifest, ...] = (),
    age_s: float = 100,
    is_started: bool = True,
    counts: Manifest | None = None,
    **metadata: Any,
) -> ObservedJob:
    """`counts`: of its pods, in its status."""
    manifest = {
        "metadata": {
            "name": f"{NAME}-learner-{attempt}",
            "uid": f"job-{attempt}",
            "resourceVersion": "1",
            "creationTimestamp": ago(age_s),
            "labels": {RUN_LABEL: NAME, ATTEMPT_LABEL: str(attempt)},
            "ownerReferences": [{"uid": UID, "controller": True}],
        }
        | metadata,
        "status": {"conditions": list(conditions)} | ({"startTime": ago(age_s)} if is_started else {}) | (counts or {}),
    }
    job = observe("Job", manifest)
    assert isinstance(job, ObservedJob)
    return job


def job_condition(kind: str, since_s: float = 10, reason: str = "BackoffLimitExceeded") -> Manifest:
    return {
        "type": kind,
        "status": "True",
        "reason": reason,
        "message": "Job has reached the specified backoff limit",
        "lastTransitionTime": ago(since_s),
    }


def make_deployment(conditions: tuple[Manifest, ...] = ()) -> ObservedDeployment:
    manifest = {
        "metadata": {
            "name": f"{NAME}-generator",
            "uid": "deployment",
            "resourceVersion": "1",
            "generation": 1,
            "labels": {RUN_LABEL: NAME},
            "ownerReferences": [{"uid": UID, "controller": True}],
        },
        "status": {"replicas": 1, "conditions": list(conditions)},
    }
    deployment = observe("Deployment", manifest)
    assert isinstance(deployment, ObservedDeployment)
    return deployment


def make_claim(
    name: str,
    phase: str = "Bound",
    modes: tuple[str, ...] = ("ReadWriteMany",),
    owner: str | None = UID,
    run: str | None = NAME,
    size: str = "5Gi",
    storage_class: str | None = "standard",
) -> ObservedClaim:
    """`run`: by label. Its size is that of `make_run`."""
    metadata: Manifest = {"name": name, "uid": "claim", "resourceVersion": "1"}
    if run:
        metadata["labels"] = {RUN_LABEL: run}
    if owner:
        metadata["ownerReferences"] = [{"uid": owner, "controller": True}]
    spec: Manifest = {"accessModes": list(modes), "resources": {"requests": {"storage": size}}}
    if storage_class is not None:
        spec["storageClassName"] = storage_class
    claim = observe(
        "PersistentVolumeClaim",
        {"metadata": metadata, "spec": spec, "status": {"phase": phase}},
    )
    assert isinstance(claim, ObservedClaim)
    return claim


def make_pod(
    role: str = "learner",
    index: int = 0,
    attempt: int = 1,
    *,
    phase: str = "Running",
    ready: bool = False,
    containers: tuple[Manifest, ...] | None = None,
    run_uid: str = UID,
    node: str | None = None,
    status: Manifest | None = None,
    **metadata: Any,
) -> ObservedPod:
    """`containers`: container statuses; by default one that runs when the pod does. `status` has the last word."""
    name = f"{NAME}-{role}-{attempt}-{index}-x" if role == "learner" else f"{NAME}-generator-x-{index}"
    labels = {RUN_LABEL: NAME, RUN_UID_LABEL: run_uid, ROLE_LABEL: role}
    if role == "learner":
        labels |= {ATTEMPT_LABEL: str(attempt), JOB_INDEX_LABEL: str(index)}
    usual = (container(role, running={"startedAt": ago(40)}),) if phase == "Running" else ()
    manifest = {
        "metadata": {
            "name": name,
            "uid": f"pod-{name}",
            "resourceVersion": "1",
            "labels": labels,
            "ownerReferences": [{"uid": "a job", "controller": True}],
        }
        | metadata,
        "spec": {"nodeName": node} if node else {},
        "status": {
            "phase": phase,
            "podIP": f"10.0.0.{index + 1}",
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
            "containerStatuses": list(usual if containers is None else containers),
        }
        | (status or {}),
    }
    pod = observe("Pod", manifest)
    assert isinstance(pod, ObservedPod)
    return pod


def unready_generator(index: int = 0, *, since_s: float, last: Manifest | None = None) -> ObservedPod:
    """It has run for 40 s, and not been ready for `since_s`. `last`: how its container ended before."""
    running = container("generator", 1 if last else 0, last, running={"startedAt": ago(40)})
    condition = {"type": "Ready", "status": "False", "lastTransitionTime": ago(since_s)}
    return make_pod("generator", index, containers=(running,), status={"conditions": [condition]})


def container(name: str = "learner", restarts: int = 0, last: Manifest | None = None, **state: Manifest) -> Manifest:
    """A container status; `state`: one of running, waiting, terminated."""
    return {
        "name": name,
        "image": "trainer:1",
        "restartCount": restarts,
        "state": state,
        "lastState": {"terminated": last} if last else {},
    }


def ended(exit_code: int, reason: str = "Error", text: str = "", at_s: float = 20) -> Manifest:
    """`at_s`: seconds ago."""
    return {"exitCode": exit_code, "reason": reason, "message": text, "finishedAt": ago(at_s)}


def on_its_way_out(index: int, asked_s: float, **pod: Any) -> ObservedPod:
    """`asked_s` ago somebody deleted it."""
    return make_pod(index=index, deletionTimestamp=ago(asked_s - 30), deletionGracePeriodSeconds=30, **pod)


def failed_learner(
    index: int = 0,
    attempt: int = 1,
    *,
    exit_code: int = 1,
    reason: str = "Error",
    text: str = "",
    at_s: float = 20,
    **metadata: Any,
) -> ObservedPod:
    terminated = ended(exit_code, reason, text, at_s)
    return make_pod(
        index=index, attempt=attempt, phase="Failed", containers=(container(terminated=terminated),), **metadata
    )


NO_GPUS = "0/2 nodes are available: 2 Insufficient nvidia.com/gpu."


def no_room(since_s: float, message: str = NO_GPUS) -> Manifest:
    """The condition of a pod that finds no node."""
    return {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": message,
        "lastTransitionTime": ago(since_s),
    }


def unschedulable(since_s: float, role: str = "learner", message: str = NO_GPUS) -> ObservedPod:
    return make_pod(role, phase="Pending", status={"conditions": [no_room(since_s, message)]})


def failure_text(reason: str, sentence: str, *, follows: bool = False) -> str:
    return Failure(reason=reason, message=sentence, follows=follows).model_dump_json()
