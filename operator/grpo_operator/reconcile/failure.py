"""Why an attempt failed, and whether another one may end otherwise."""

import signal
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from grpo_contract.failure import Failure, PodReason
from grpo_contract.labels import Role
from grpo_operator.api.status import Condition, ConditionType
from grpo_operator.desired.learners import MISTAKE_REASON
from grpo_operator.reconcile.conditions import find, timestamp
from grpo_operator.reconcile.deletion import LATEST, Deletion, first_deletion
from grpo_operator.reconcile.disruption import is_disruption
from grpo_operator.reconcile.observed import (
    ENDED_BY_SIGTERM,
    Ended,
    JobFailure,
    ObservedContainer,
    ObservedPod,
    Waiting,
    time_of,
)
from grpo_operator.reconcile.pod_trouble import OOM_REASON, out_of_memory
from grpo_operator.reconcile.reasons import Reason
from grpo_operator.reconcile.restart import is_given_up
from grpo_operator.reconcile.termination import failure_in, follows, is_users_mistake

CAUSE_GRACE_S: Final = 3.0
"""The Job's failure and its pods come over two watches, in any order."""

SAID_AFTER_DELETIONS_S: Final = 3.0
"""The Job controller deletes the pods of a Job that has failed, then writes that it has."""

MISSED_WITHIN_S: Final = 3.0
"""Containers' ends are told in whole seconds, and launchers take a moment to see that their workers have ended."""

KILLED: Final = 128 + signal.SIGKILL

NEWS_GRACE_S: Final = 60.0
"""When a learner must have more to say than the Job: it found a mistake in the run, or is there and has not failed as far as is
known. Its news may be late."""

_KNOWN_REASONS: Final = frozenset(PodReason)
"""Reasons become label values of a metric, so a pod cannot invent one."""

_OWN_LIMITS: Final = frozenset({"Evicted", "DeadlineExceeded"})
"""Why the kubelet ends a pod that went beyond what itself asked for. Where the node is why, the pod is a DisruptionTarget."""

_LOST_SIGHT_OF: Final = frozenset({"Unknown", "ContainerStatusUnknown"})
"""How a container has ended that was there before its node went down: in containerd's word, and in the kubelet's."""


@dataclass(frozen=True)
class Cause:
    reason: str
    message: str
    pod: ObservedPod | None = None
    container: str | None = None
    exit_code: int | None = None
    is_users_mistake: bool = False
    """Another attempt would end the same way."""
    began_at: datetime = LATEST


def should_restart(cause: Cause, attempt: int, max_restarts: int) -> bool:
    """`attempt`: which it is of those that count."""
    return not cause.is_users_mistake and (is_disruption(cause.reason) or attempt <= max_restarts)


def witnessed_loss(conditions: Iterable[Condition], failure: JobFailure) -> Cause | None:
    """A learner that was seen being deleted before its Job failed; its pod may be gone by now."""
    condition = find(conditions, ConditionType.LEARNERS_READY)
    if condition is None or condition.reason != Reason.LEARNER_POD_LOST:
        return None
    if time_of(condition.last_transition_time) > failure.since:  # by the Job controller, after all
        return None
    return Cause(Reason.LEARNER_POD_LOST, condition.message)


def cause_of(
    failure: JobFailure, learners: Sequence[ObservedPod], wanted: int, now: datetime, witnessed: Cause | None = None
) -> Cause | None:
    """The root cause among the pods of a failed attempt; None while the pods' own news may still be on its way.

    One learner's end takes the others along: some fail because a neighbour is gone, the Job controller deletes the
    rest. So what cannot follow from a neighbour's end counts most, and of the rest what began first.
    """
    deletion = first_deletion(learners)
    causes = _without_who_missed_one([cause for pod in learners if (cause := _cause_in(pod, failure.since, deletion))])
    if gone := sorted({*range(wanted)} - {pod.index for pod in learners}):
        causes = [cause for cause in causes if not _follows_from_one_that_is_gone(cause, failure)]
    first = min(causes, key=_weight, default=None)
    # That of who saves a small step, or nothing, is asked for in the very second of the Job's failure.
    if first and _is_only_a_consequence(first) and deletion and deletion.asked_at <= failure.since:
        first = _cause_of_deletion(deletion)
    if witnessed and (first is None or (_rank(first) >= _MAY_FOLLOW and first.reason != witnessed.reason)):
        return witnessed
    cause = first or _told_by_job(failure, gone, bool(learners) and not gone, now)
    if cause is None or _rank(cause) < _MAY_FOLLOW:
        return cause
    return _on_silent_node(learners, failure) or cause


def _without_who_missed_one(causes: Sequence[Cause]) -> Sequence[Cause]:
    """A learner that ends by a deadline takes its connections along: in the same moment others end with an error of theirs."""
    ends = [cause.began_at for cause in causes if cause.reason in _OUT_OF_TIME]
    if not ends:
        return causes
    missed_since = min(ends) - timedelta(seconds=MISSED_WITHIN_S)

    def missed_one(cause: Cause) -> bool:
        is_error = cause.reason == PodReason.LEARNER_ERROR and not cause.is_users_mistake
        return is_error and cause.began_at >= missed_since

    return [cause for cause in causes if not missed_one(cause)]


def _follows_from_one_that_is_gone(cause: Cause, failure: JobFailure) -> bool:
    """Who ended when the Job had failed only missed the one that is gone. In the same second it may have been why.

    The Job controller deletes those who are left, and says a little later that the Job has failed.
    """
    if _rank(cause) == _FOLLOWS:
        return True
    before_s = SAID_AFTER_DELETIONS_S if cause.reason == Reason.LEARNER_POD_LOST else 0
    return _rank(cause) == _MAY_FOLLOW and cause.began_at > failure.since - timedelta(seconds=before_s)


def _told_by_job(failure: JobFailure, gone: Sequence[int], are_all_there: bool, now: datetime) -> Cause | None:
    """Without a word of the pods: None while it may be on its way. `gone`: learners that have no pod."""
    is_mistake = failure.reason == MISTAKE_REASON
    grace_s = NEWS_GRACE_S if is_mistake or are_all_there else CAUSE_GRACE_S
    if (now - failure.since).total_seconds() < grace_s:
        return None
    if is_mistake:
        message = (
            f"A learner found a mistake in the run, and its pod is gone with its words ({failure.message.rstrip('.')})."
        )
        return Cause(PodReason.LEARNER_ERROR, message, is_users_mistake=True)
    who = f"The pod of learner {gone[0]}" if len(gone) == 1 else "A learner pod"  # the Job deletes the others after it
    message = f"{who} was deleted, or is gone with its node ({failure.reason}: {failure.message.rstrip('.')})."
    return Cause(Reason.LEARNER_POD_LOST, message)


def with_generators_taken(cause: Cause, generators: Sequence[ObservedPod]) -> Cause:
    """Of a run whose generators have worked. That the cluster took them, and has no room for others, is no fault of the run's."""
    are_missing = any(pod.unschedulable or pod.unreachable_since for pod in generators)
    if cause.reason != PodReason.GENERATORS_LOST or not are_missing or not all(map(_is_taken, generators)):
        return cause
    pending = next((pod.unschedulable.message for pod in generators if pod.unschedulable), "")
    why = f" ({pending.rstrip('.')})" if pending else ""
    return replace(
        cause, reason=Reason.DISRUPTED, message=f"{cause.message} The cluster took them, or has no room for them{why}."
    )


def with_learners_without_room(cause: Cause, learners: Iterable[ObservedPod], conditions: Iterable[Condition]) -> Cause:
    """Of a run that has made steps. That the cluster has no room any more for one of its learners is no fault of the run's."""
    if cause.reason != PodReason.RENDEZVOUS_TIMEOUT:
        return cause
    told = find(conditions, ConditionType.LEARNERS_READY)
    pending = next((pod.unschedulable.message for pod in learners if pod.unschedulable), None)
    if pending is None and told is not None and told.reason == Reason.UNSCHEDULABLE:
        pending = told.message
    if pending is None:
        return cause
    return replace(
        cause, reason=Reason.DISRUPTED, message=f"{cause.message} The cluster had no room ({pending.rstrip('.')})."
    )


def _is_taken(generator: ObservedPod) -> bool:
    is_evicted = generator.evicted is not None and generator.evicted.reason not in _OWN_LIMITS
    return is_evicted or generator.is_deleting or bool(generator.unschedulable or generator.unreachable_since)


def lost_learner(learners: Iterable[ObservedPod], now: datetime) -> Cause | None:
    """A pod of the current attempt that was given up. Its Job would wait for the node's word for ever."""
    pod = next((pod for pod in learners if is_given_up(pod, now)), None)
    if pod is None:
        return None
    message = (
        f"Pod {pod.name} was deleted, and node {pod.node} does not say that it has ended: the node is lost, or cannot end "
        f"it. Bring the node back or, if it is gone for good, `kubectl delete node {pod.node}`."
    )
    return Cause(Reason.LEARNER_NODE_LOST, message, pod)


def _on_silent_node(learners: Iterable[ObservedPod], failure: JobFailure) -> Cause | None:
    """A learner whose node said nothing any more when the attempt failed: those that missed it ended before the cluster did
    anything about it."""
    silent = [
        (since, pod)
        for pod in learners
        if not pod.is_over and (since := pod.unreachable_since) and since <= failure.since
    ]
    if not silent:
        return None
    since, pod = min(silent, key=lambda each: each[0])
    message = (
        f"Node {pod.node} has not answered since {timestamp(since)}, and other learners missed pod {pod.name} on it. Bring "
        f"the node back or, if it is gone for good, `kubectl delete node {pod.node}`."
    )
    return Cause(Reason.LEARNER_NODE_LOST, message, pod)


def users_mistake_in(generators: Iterable[ObservedPod]) -> Cause | None:
    """A generator that ended because of the run itself: its Deployment would start it again forever. To ask while no
    generator of the run has been ready yet: once one was, what others cannot work with came into the run later, by a
    field that may change at any time, and another change takes it out again."""
    for pod in generators:
        for container in pod.containers:
            for ended in (container.ended, container.last_ended):
                if ended and is_users_mistake(pod, container, ended):
                    return _cause_in_container(pod, container, ended)
    return None


def _cause_in(pod: ObservedPod, job_failed_at: datetime, first: Deletion | None) -> Cause | None:
    """What made the pod fail, if it failed."""
    if pod.evicted:
        return _cause_of_eviction(pod, pod.evicted)
    ends = [(container, container.ended) for container in pod.containers if container.ended]
    causes = [_cause_in_container(pod, container, ended) for container, ended in ends if ended.exit_code != 0]
    cause = min(causes, key=lambda cause: cause.began_at, default=None)
    if pod.deletion_asked_at is None or (cause and _rank(cause) < _MAY_FOLLOW):
        return cause
    if first and first.pod is pod and first.asked_at < job_failed_at:
        return _cause_of_deletion(first, cause.container if cause else None)
    # The Job controller ends what is left of a failed Job.
    return replace(cause, began_at=LATEST) if cause else None


def _cause_of_deletion(deletion: Deletion, container: str | None = None) -> Cause:
    return Cause(Reason.LEARNER_POD_LOST, deletion.message, deletion.pod, container, began_at=deletion.asked_at)


def _cause_of_eviction(pod: ObservedPod, evicted: Waiting) -> Cause:
    why = f"{evicted.reason}: {evicted.message.rstrip('.')}"
    if evicted.reason not in _OWN_LIMITS:
        return Cause(Reason.DISRUPTED, f"Pod {pod.name} was taken away by the cluster ({why}).", pod)
    message = (
        f"Pod {pod.name} went beyond a limit of its own ({why}): raise it, in learners.resources (ephemeral-storage) or "
        "learners.podTemplate (sizeLimit of an emptyDir volume, activeDeadlineSeconds)."
    )
    return Cause(Reason.POD_LIMIT_EXCEEDED, message, pod)


def _cause_in_container(pod: ObservedPod, container: ObservedContainer, ended: Ended) -> Cause:
    code, at = ended.exit_code, ended.at or LATEST
    # Of one that is deleted the kubelet may say so, too: the Job controller deletes those who are left.
    if ended.reason in _LOST_SIGHT_OF and failure_in(ended) is None and pod.deletion_asked_at is None:
        lost = (
            f"Nobody saw container {container.name} of pod {pod.name} end ({ended.reason}): node {pod.node} was restarted, or "
            "its container runtime lost it."
        )
        return Cause(Reason.DISRUPTED, lost, pod, container.name, code, began_at=at)
    if ended.reason == OOM_REASON:
        trouble = out_of_memory(pod.name, container.name, pod.role)
        return Cause(trouble.reason, trouble.message, pod, container.name, code, began_at=at)
    usual = PodReason.LEARNER_ERROR if pod.role is Role.LEARNER else PodReason.GENERATOR_ERROR
    silent = f"Container {container.name} of pod {pod.name} {_without_a_word(code, pod.name)}"
    failure = failure_in(ended) or Failure(reason=usual, message=silent)
    reason = failure.reason if failure.reason in _KNOWN_REASONS else usual
    return Cause(
        reason, failure.message, pod, container.name, code, is_users_mistake(pod, container, ended), began_at=at
    )


def _without_a_word(exit_code: int, pod_name: str) -> str:
    if exit_code == KILLED:
        events = f"`kubectl get events --field-selector involvedObject.name={pod_name}`"
        return f"was killed: {events} says whether it had answered nothing for too long (Unhealthy); see status.lastFailure.log."
    return f"ended with exit code {exit_code}: see status.lastFailure.log."


_MAY_FOLLOW: Final = 3
"""Rank of what may be only the consequence of a neighbour's end."""

_FOLLOWS: Final = 4
"""Of what always is, by its own word: one of the pods was asked to end, or left while others were waited for."""

_OUT_OF_TIME: Final = frozenset(
    {
        PodReason.LOADING_TIMEOUT,
        PodReason.GENERATE_TIMEOUT,
        PodReason.WEIGHT_SYNC_TIMEOUT,
        PodReason.COLLECTIVE_TIMEOUT,
        PodReason.CHECKPOINT_TIMEOUT,
    }
)

_EXHAUSTED: Final = frozenset(
    {Reason.OOM_KILLED, Reason.POD_LIMIT_EXCEEDED, PodReason.GPU_OUT_OF_MEMORY, PodReason.VOLUME_FULL}
)


def _rank(cause: Cause) -> int:
    if cause.is_users_mistake:
        return 0
    if cause.reason in _EXHAUSTED:
        return 1
    if cause.reason == Reason.DISRUPTED:
        return 2
    if cause.reason == PodReason.LEARNER_ASKED_TO_END or (cause.pod and follows(cause.pod)):
        return _FOLLOWS
    return _MAY_FOLLOW


def _is_only_a_consequence(cause: Cause) -> bool:
    return _rank(cause) == _FOLLOWS or (cause.began_at == LATEST and cause.exit_code == ENDED_BY_SIGTERM)


def _weight(cause: Cause) -> tuple[int, bool, datetime, bool, str]:
    """Smaller counts more. In the same second a deletion came first: it takes a while to miss a neighbour."""
    # Every rank meets the run's mistake; the Job controller deletes those whom it saw at work, and their logs.
    loses_log = cause.is_users_mistake and cause.pod is not None and cause.pod.is_deleting
    is_consequence = cause.reason != Reason.LEARNER_POD_LOST
    return _rank(cause), loses_log, cause.began_at, is_consequence, cause.pod.name if cause.pod else ""
