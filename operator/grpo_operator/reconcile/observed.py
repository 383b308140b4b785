"""What the decisions need to know of each object, taken from the object as the API server shows it.

All objects of all runs are kept in memory in this form, so it holds what some decision reads and nothing else.
"""

import signal
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from grpo_contract.labels import (
    ATTEMPT_LABEL,
    BENCHMARK_LABEL,
    JOB_INDEX_LABEL,
    ROLE_LABEL,
    RUN_LABEL,
    RUN_UID_LABEL,
    Role,
)
from grpo_operator.desired.digest import digest_of
from grpo_operator.desired.pods_of_attempt import PODS_ANNOTATION
from grpo_operator.desired.recipe import RECIPE_ANNOTATION
from grpo_operator.resources import APPLIED, CLAIM, DEPLOYMENT, JOB, POD

Manifest = Mapping[str, Any]
Ref = tuple[str, str]
"""Kind and name of a child, in the namespace of its run."""

_APPLIED_KINDS: Final = frozenset(resource.kind for resource in APPLIED)

ENDED_BY_SIGTERM: Final = 128 + signal.SIGTERM
"""Exit code of a container that its kubelet asked to end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedChild:
    kind: str
    name: str
    uid: str
    owner_uid: str | None
    """Of the controlling owner."""
    run_name: str | None
    """By its label."""
    is_deleting: bool
    digest: str
    """What was last asked for; empty on children that are created once."""
    marker: str
    """Moves whenever what we asked for is written: the generation, or the resource version of kinds without one."""

    @property
    def ref(self) -> Ref:
        return self.kind, self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFailure:
    reason: str
    message: str
    since: datetime
    """From here on the Job controller deletes what is left of the Job's pods."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedJob(ObservedChild):
    attempt: int
    benchmark: str | None
    """The target of a benchmark; None: it is of learners."""
    created_at: datetime
    started_at: datetime | None
    """When the Job controller first saw to it."""
    recipe: str | None
    """The digest of the recipe that its pods are of."""
    pods_created: int
    """So many the Job controller has counted, those that are gone included."""
    completed_at: datetime | None
    """When all its pods had succeeded."""
    failure: JobFailure | None
    """Set as soon as the Job is bound to fail, before its last pods are gone."""

    @property
    def has_ended(self) -> bool:
        return self.completed_at is not None or self.failure is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedDeployment(ObservedChild):
    replicas: int
    failure: str | None
    """Why its pods cannot be created."""
    pods: str
    """What says by which template they are made (`PodsOfAttempt`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedClaim(ObservedChild):
    phase: str
    access_modes: tuple[str, ...]
    size: str
    storage_class: str | None
    """None: of no class."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a container ended."""

    exit_code: int
    reason: str
    message: str
    """What the container left in its termination file, or the kubelet's own words."""
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why a container does not run yet, or not again."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class ObservedContainer:
    name: str
    image: str
    is_running: bool
    waiting: Waiting | None
    ended: Ended | None
    last_ended: Ended | None
    """Before its last restart."""
    restarts: int

    @property
    def ended_well(self) -> bool:
        return self.ended is not None and self.ended.exit_code == 0


@dataclass(frozen=True, slots=True)
class Unschedulable:
    message: str
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedPod(ObservedChild):
    role: Role
    attempt: int | None
    index: int | None
    """Which learner it is."""
    benchmark: str | None
    """Whose benchmark it makes, by the target."""
    run_uid: str | None
    """By its label."""
    deletion_asked_at: datetime | None
    """Or, where only that is known, its end."""
    gone_at: datetime | None
    """The end of its grace period once it is being deleted: when it should be gone."""
    phase: str
    node: str | None
    ip: str | None
    is_ready: bool
    has_lost_readiness: bool
    """It was ready since the role's own container started, which runs on, and is so no more."""
    unreachable_since: datetime | None
    """Since when its node has said nothing, as far as the cluster knows; None of pods that were not ready before."""
    evicted: Waiting | None
    """The pod as a whole was thrown out: evicted, preempted, its node gone."""
    unschedulable: Unschedulable | None
    being_set_up_since: datetime | None
    """Since when its node has been about to mount its volumes and to make its network; images are pulled afterwards."""
    containers: tuple[ObservedContainer, ...]

    @property
    def is_running(self) -> bool:
        return self.ip is not None and any(container.is_running for container in self.containers)

    @property
    def has_stopped(self) -> bool:
        """Nothing runs in it any more; its phase may follow a moment later."""
        return self.is_over or (bool(self.containers) and all(container.ended for container in self.containers))

    @property
    def has_succeeded(self) -> bool:
        return (
            self.phase != "Failed" and self.has_stopped and all(container.ended_well for container in self.containers)
        )

    @property
    def is_over(self) -> bool:
        """It ended for good: whatever it held is free."""
        return self.phase in ("Succeeded", "Failed")


def observe(kind: str, manifest: Manifest) -> ObservedChild:
    return _OBSERVERS.get(kind, _observe_plain)(kind, manifest)


def time_of(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _common(kind: str, manifest: Manifest) -> dict[str, Any]:
    metadata = manifest["metadata"]
    owners = [owner["uid"] for owner in metadata.get("ownerReferences", ()) if owner.get("controller")]
    is_applied = kind in _APPLIED_KINDS
    return {
        "kind": kind,
        "name": metadata["name"],
        "uid": metadata["uid"],
        "owner_uid": owners[0] if owners else None,
        "run_name": metadata.get("labels", {}).get(RUN_LABEL),
        "is_deleting": "deletionTimestamp" in metadata,
        "digest": digest_of(dict(manifest)) if is_applied else "",
        "marker": str(metadata.get("generation", metadata["resourceVersion"])) if is_applied else "",
    }


def _observe_plain(kind: str, manifest: Manifest) -> ObservedChild:
    return ObservedChild(**_common(kind, manifest))


def _observe_job(kind: str, manifest: Manifest) -> ObservedJob:
    metadata, conditions, status = manifest["metadata"], _conditions(manifest), manifest.get("status", {})
    started, template = status.get("startTime"), manifest.get("spec", {}).get("template", {})
    # FailureTarget comes with the failure; Failed when the pods that were left have ended, too.
    complete, failed = conditions.get("Complete"), conditions.get("FailureTarget") or conditions.get("Failed")
    return ObservedJob(
        **_common(kind, manifest),
        attempt=_number(metadata.get("labels", {}).get(ATTEMPT_LABEL)) or 0,
        benchmark=metadata.get("labels", {}).get(BENCHMARK_LABEL),
        created_at=time_of(metadata["creationTimestamp"]),
        started_at=time_of(started) if started else None,
        recipe=template.get("metadata", {}).get("annotations", {}).get(RECIPE_ANNOTATION),
        pods_created=sum(status.get(count, 0) for count in ("active", "terminating", "succeeded", "failed")),
        completed_at=time_of(complete["lastTransitionTime"]) if complete else None,
        failure=_job_failure(failed) if failed else None,
    )


def _job_failure(condition: Manifest) -> JobFailure:
    return JobFailure(
        reason=condition.get("reason", ""),
        message=condition.get("message", ""),
        since=time_of(condition["lastTransitionTime"]),
    )


def _observe_deployment(kind: str, manifest: Manifest) -> ObservedDeployment:
    status = manifest.get("status", {})
    failure = _conditions(manifest).get("ReplicaFailure")
    return ObservedDeployment(
        **_common(kind, manifest),
        replicas=status.get("replicas", 0),
        failure=failure.get("message", "") if failure else None,
        pods=manifest["metadata"].get("annotations", {}).get(PODS_ANNOTATION, ""),
    )


def _observe_claim(kind: str, manifest: Manifest) -> ObservedClaim:
    spec, status = manifest["spec"], manifest.get("status", {})
    return ObservedClaim(
        **_common(kind, manifest),
        phase=status.get("phase", "Pending"),
        access_modes=tuple(status.get("accessModes") or spec.get("accessModes", ())),
        size=spec["resources"]["requests"]["storage"],
        storage_class=spec.get("storageClassName"),
    )


def _observe_pod(kind: str, manifest: Manifest) -> ObservedPod:
    metadata, status, conditions = manifest["metadata"], manifest.get("status", {}), _conditions(manifest)
    labels = metadata["labels"]
    gone_at = time_of(metadata["deletionTimestamp"]) if "deletionTimestamp" in metadata else None
    containers = tuple(
        _container(container)
        for field_name in ("initContainerStatuses", "containerStatuses")
        for container in status.get(field_name, ())
    )
    return ObservedPod(
        **_common(kind, manifest),
        role=Role(labels[ROLE_LABEL]),
        attempt=_number(labels.get(ATTEMPT_LABEL)),
        index=_number(labels.get(JOB_INDEX_LABEL)),
        benchmark=labels.get(BENCHMARK_LABEL),
        run_uid=labels.get(RUN_UID_LABEL),
        deletion_asked_at=_deletion_asked_at(gone_at, metadata, containers) if gone_at else None,
        gone_at=gone_at,
        phase=status.get("phase", "Pending"),
        node=manifest.get("spec", {}).get("nodeName"),
        ip=status.get("podIP"),
        is_ready="Ready" in conditions,
        has_lost_readiness=_has_lost_readiness(status, labels[ROLE_LABEL]),
        unreachable_since=_unreachable_since(status),
        evicted=_evicted(status, conditions.get("DisruptionTarget")),
        unschedulable=_unschedulable(status),
        being_set_up_since=_being_set_up_since(status),
        containers=containers,
    )


def _deletion_asked_at(gone_at: datetime, metadata: Manifest, containers: Iterable[ObservedContainer]) -> datetime:
    """A kubelet that takes a pod away which has ended writes this moment, and a grace period of 0, over what was asked."""
    if grace_period_s := metadata.get("deletionGracePeriodSeconds"):
        return gone_at - timedelta(seconds=grace_period_s)
    own = [each.ended for each in containers if each.ended and each.name == metadata["labels"][ROLE_LABEL]]
    return min([gone_at, *(ended.at for ended in own if ended.at and ended.exit_code == ENDED_BY_SIGTERM)])


def _number(label: str | None) -> int | None:
    """Anybody can put any label on an object."""
    return int(label) if label and label.isdecimal() else None


def _conditions(manifest: Manifest) -> dict[str, Manifest]:
    """By type, only those that are true."""
    conditions = manifest.get("status", {}).get("conditions", ())
    return {condition["type"]: condition for condition in conditions if condition["status"] == "True"}


def _has_lost_readiness(status: Manifest, container_name: str) -> bool:
    """By the time since when the pod is not ready: one that never was is so since before its container started."""
    since = _unready_since(_condition(status, "Ready"))
    if since is None:
        return False
    states = (
        entry.get("state", {}) for entry in status.get("containerStatuses", ()) if entry["name"] == container_name
    )
    starts = [time_of(state["running"]["startedAt"]) for state in states if "running" in state]
    return any(start < since for start in starts)


def _unreachable_since(status: Manifest) -> datetime | None:
    """The cluster takes readiness alone from pods whose node says nothing any more; a kubelet tells of containers first, or
    gives a reason."""
    ready, of_containers = _condition(status, "Ready"), _condition(status, "ContainersReady")
    if of_containers.get("status") != "True" or ready.get("reason"):
        return None
    return _unready_since(ready)


def _condition(status: Manifest, kind: str) -> Manifest:
    return next((entry for entry in status.get("conditions", ()) if entry["type"] == kind), {})


def _unready_since(ready: Manifest) -> datetime | None:
    since = ready.get("lastTransitionTime")
    return time_of(since) if since and ready.get("status") == "False" else None


def _evicted(status: Manifest, disruption: Manifest | None) -> Waiting | None:
    if disruption:
        return Waiting(disruption.get("reason", "Disrupted"), disruption.get("message", ""))
    if status.get("phase") == "Failed" and status.get("reason"):
        return Waiting(status["reason"], status.get("message", ""))
    return None


def _unschedulable(status: Manifest) -> Unschedulable | None:
    for condition in status.get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition.get("reason") == "Unschedulable":
            return Unschedulable(condition.get("message", ""), time_of(condition["lastTransitionTime"]))
    return None


def _being_set_up_since(status: Manifest) -> datetime | None:
    if status.get("phase") != "Pending":
        return None
    for condition in status.get("conditions", ()):
        if condition["type"] == "PodReadyToStartContainers" and condition["status"] == "False":
            return time_of(condition["lastTransitionTime"])
    return None


def _container(status: Manifest) -> ObservedContainer:
    state = status.get("state", {})
    waiting = state.get("waiting")
    return ObservedContainer(
        name=status["name"],
        image=status.get("image", ""),
        is_running="running" in state,
        waiting=Waiting(waiting.get("reason", ""), waiting.get("message", "")) if waiting else None,
        ended=_ended(state.get("terminated")),
        last_ended=_ended(status.get("lastState", {}).get("terminated")),
        restarts=status.get("restartCount", 0),
    )


def _ended(terminated: Manifest | None) -> Ended | None:
    if terminated is None:
        return None
    finished = terminated.get("finishedAt")
    return Ended(
        exit_code=terminated["exitCode"],
        reason=terminated.get("reason", ""),
        message=terminated.get("message", ""),
        at=time_of(finished) if finished else None,
    )


_OBSERVERS: Final[Mapping[str, Callable[[str, Manifest], ObservedChild]]] = {
    JOB.kind: _observe_job,
    DEPLOYMENT.kind: _observe_deployment,
    CLAIM.kind: _observe_claim,
    POD.kind: _observe_pod,
}
