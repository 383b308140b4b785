"""LearnersReady and GeneratorsReady: how many pods of a role are ready, and what keeps the others."""

from datetime import datetime
from typing import Final

from grpo_operator.api.run import GRPORun
from grpo_operator.api.status import ConditionType
from grpo_operator.reconcile.conditions import Statement, find
from grpo_operator.reconcile.deletion import failed_at, first_deletion
from grpo_operator.reconcile.observed import ObservedJob
from grpo_operator.reconcile.pod_trouble import Trouble, first_trouble
from grpo_operator.reconcile.reasons import Reason
from grpo_operator.reconcile.termination import follows
from grpo_operator.reconcile.world import Children

NO_PODS_GRACE_S: Final = 10.0
"""The Job controller needs a moment to create pods."""
NOT_STARTED_GRACE_S: Final = 60.0
"""It comes to each Job in its turn, and there may be a thousand."""


def ready_learners(children: Children) -> int:
    return sum(pod.is_ready for pod in children.learners)


def ready_generators(children: Children) -> int:
    """By the pods themselves, which also tell why one is not: the Deployment's own count comes over another watch, so that a
    loss would be seen before, or after, its cause. As there, one that is being deleted does not count."""
    return sum(pod.is_ready and not pod.is_deleting for pod in children.generators)


def judge_learners(run: GRPORun, children: Children, now: datetime) -> Statement:
    wanted, ready = run.spec.learners.replicas, ready_learners(children)
    succeeded = sum(pod.has_succeeded for pod in children.learners)
    if ready + succeeded >= wanted:
        return _ready(ConditionType.LEARNERS_READY, wanted, "learner")
    trouble = (
        first_trouble(children.learners, now)
        or _told_shortage(run, children)
        or _deleted_learner(run, children)
        or _missing_learners(wanted, children, now)
    )
    return _not_ready(ConditionType.LEARNERS_READY, ready, wanted, "learner", trouble)


def has_had_generators(run: GRPORun, children: Children) -> bool:
    """Whether any generator of the run was ever ready, in any attempt."""
    return run.status.generators.first_ready_at is not None or any(pod.is_ready for pod in children.generators)


def judge_generators(run: GRPORun, children: Children, now: datetime) -> Statement:
    deployment, wanted = children.deployment, run.spec.generators.replicas
    ready = ready_generators(children)
    if ready >= wanted:
        return _ready(ConditionType.GENERATORS_READY, wanted, "generator")
    trouble = first_trouble(children.generators, now)
    if trouble is None and deployment and deployment.failure is not None:
        trouble = Trouble(Reason.PODS_NOT_CREATED, f"The generators' pods cannot be created: {deployment.failure}")
    if trouble is None and ready < run.status.generators.ready:
        gone = f"{ready} of {wanted} generators are ready: one that was is gone, and another takes its place."
        trouble = Trouble(Reason.GENERATOR_REPLACED, gone)
    return _not_ready(ConditionType.GENERATORS_READY, ready, wanted, "generator", trouble)


def seconds_until_pods_are_missed(run: GRPORun, children: Children, now: datetime) -> float | None:
    """When to look again at a Job that lacks pods."""
    if children.job is None or _created_learners(children) >= run.spec.learners.replicas:
        return None
    rest = _grace_left_s(children.job, now)
    return rest if rest > 0 else None


def _deleted_learner(run: GRPORun, children: Children) -> Trouble | None:
    """One that somebody deleted: the Job has not failed, and no other had ended before. Said now, while the pod is there
    to be seen: when the Job fails, all that is left may be a neighbour that missed it. What was said stays.

    Once that one has ended the Job controller deletes who is left, and the Job's own news may come later. So it is who was
    deleted first, and nobody when a pod is gone already. In the same second as a neighbour's end it may be that one's fault,
    unless it says whom it follows.
    """
    job = children.job
    if job is None or job.failure:
        return None
    if told := _told_deletion(run, job):
        return Trouble(Reason.LEARNER_POD_LOST, told)
    first = first_deletion(children.learners)
    if first is None or _created_learners(children) > len(children.learners):
        return None
    others = [pod for pod in children.learners if not pod.is_deleting and not follows(pod)]
    if any(ended_at <= first.asked_at for pod in others if (ended_at := failed_at(pod))):
        return None
    return Trouble(Reason.LEARNER_POD_LOST, first.message)


def _told_deletion(run: GRPORun, job: ObservedJob) -> str | None:
    """The sentence about a pod of this Job that stands in the condition."""
    condition = find(run.status.conditions, ConditionType.LEARNERS_READY)
    if condition is None or condition.reason != Reason.LEARNER_POD_LOST:
        return None
    return condition.message if condition.message.startswith(f"Pod {job.name}-") else None


def _told_shortage(run: GRPORun, children: Children) -> Trouble | None:
    """While an attempt ends, it stays said that one of its learners found no node: the pod of that one goes at once when another
    has failed, and the Job's own news come later."""
    told = find(run.status.conditions, ConditionType.LEARNERS_READY)
    if told is None or told.reason != Reason.UNSCHEDULABLE or children.job is None:
        return None
    is_of_this_job = told.message.startswith(f"Pod {children.job.name}-")
    return (
        Trouble(Reason.UNSCHEDULABLE, told.message)
        if is_of_this_job and any(map(failed_at, children.learners))
        else None
    )


def _missing_learners(wanted: int, children: Children, now: datetime) -> Trouble | None:
    job, created = children.job, _created_learners(children)
    if job is None or created >= wanted or _grace_left_s(job, now) > 0:
        return None
    message = (
        f"{created} of {wanted} learner pods are created: `kubectl describe job {job.name}` says why, "
        "mostly a quota or an admission policy."
    )
    return Trouble(Reason.PODS_NOT_CREATED, message)


def _created_learners(children: Children) -> int:
    """Those that are gone included, whichever of the two watches, of pods or of Jobs, is ahead."""
    return max(len(children.learners), children.job.pods_created if children.job else 0)


def _grace_left_s(job: ObservedJob, now: datetime) -> float:
    if job.started_at is None:
        return NOT_STARTED_GRACE_S - (now - job.created_at).total_seconds()
    return NO_PODS_GRACE_S - (now - job.started_at).total_seconds()


def _ready(condition_type: ConditionType, wanted: int, noun: str) -> Statement:
    return Statement(condition_type, "True", Reason.ALL_READY, f"{wanted} of {wanted} {noun}s are ready.")


def _not_ready(condition_type: ConditionType, ready: int, wanted: int, noun: str, trouble: Trouble | None) -> Statement:
    if trouble:
        return Statement(condition_type, "False", trouble.reason, trouble.message)
    return Statement(condition_type, "False", Reason.STARTING, f"{ready} of {wanted} {noun}s are ready.")
