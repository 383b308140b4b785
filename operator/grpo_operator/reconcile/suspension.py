"""Suspended: whether `spec.suspend` holds the run, and how far its pods are in leaving.

Learners go first, and generators when they have gone: a learner that saves a checkpoint should not have to do with lost
generators meanwhile. An attempt that has ended by itself is not suspended: its Job says how.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from grpo_contract.labels import Role
from grpo_operator.api.run import GRPORun
from grpo_operator.api.status import ConditionType
from grpo_operator.reconcile.conditions import Statement, timestamp
from grpo_operator.reconcile.observed import ObservedJob, ObservedPod, time_of
from grpo_operator.reconcile.reasons import Reason
from grpo_operator.reconcile.restart import GONE_GRACE_S, RUNS_ON, is_given_up, origin_of, seconds_until_given_up
from grpo_operator.reconcile.world import Children

SETTLED_S: Final = 3.0
"""News of a pod may come later than that of the deletion of what had just made it."""


def should_suspend(run: GRPORun, job: ObservedJob | None) -> bool:
    """`job`: of the current attempt."""
    return run.spec.suspend and not (job and job.has_ended)


def should_go_on(run: GRPORun, job: ObservedJob | None) -> bool:
    """`job`: of the current attempt. One that has ended before it was removed says by itself what becomes of the run."""
    return run.status.suspended_at is not None and not run.spec.suspend and not (job and job.has_ended)


def pods_left(children: Children, now: datetime) -> list[ObservedPod]:
    """Those that may still hold something. The word of a node that answers nobody is not waited for."""
    pods = (*children.previous_learners, *children.learners, *children.generators, *children.benchmark_pods)
    return [pod for pod in pods if not pod.is_over and not is_given_up(pod, now)]


def suspended_at(run: GRPORun, children: Children, now: datetime) -> str:
    """Since when its learners are to have ended: later than it was told first, where their Jobs could not be removed before."""
    since = run.status.suspended_at
    is_late = (children.job or children.previous_jobs) and _seconds_held(run, now) >= GONE_GRACE_S
    return timestamp(now) if since is None or is_late else since


def generators_may_go(run: GRPORun, children: Children, left: Sequence[ObservedPod], now: datetime) -> bool:
    """No learner may be saving. One whose Job was deleted without it, so that nobody ends it, is not waited for."""
    return all(pod in _left_behind(run, children, left, now) for pod in left if pod.role is Role.LEARNER)


def _left_behind(run: GRPORun, children: Children, left: Sequence[ObservedPod], now: datetime) -> list[ObservedPod]:
    """Learners that nobody ends."""
    if children.job or children.previous_jobs or _seconds_held(run, now) < GONE_GRACE_S:
        return []
    learners = [pod for pod in left if pod.role is Role.LEARNER]
    return [] if any(pod.gone_at for pod in learners) else learners


def judge_suspension(run: GRPORun, children: Children, left: Sequence[ObservedPod], now: datetime) -> Statement:
    if left_behind := _left_behind(run, children, left, now):
        message = f"spec.suspend is true, and pod {left_behind[0].name} {RUNS_ON}."
        return Statement(ConditionType.SUSPENDED, "False", Reason.SUSPENDING, message)
    if left:
        whose = f"{len(left)} of its pods have not ended yet, {left[0].name} among them"
        message = f"spec.suspend is true, and the run is being ended: {whose}. Learners save a checkpoint first."
        return Statement(ConditionType.SUSPENDED, "False", Reason.SUSPENDING, message)
    benchmarked = any(not job.has_ended for job in children.benchmark_jobs.values())
    makers = children.job or children.previous_jobs or children.deployment or benchmarked
    if makers or _seconds_until_settled(run, now) > 0:  # there may be pods yet
        message = "spec.suspend is true, and the run is being ended."
        return Statement(ConditionType.SUSPENDED, "False", Reason.SUSPENDING, message)
    then = f"goes on from {origin_of(run)}" if run.status.started_at else "starts"
    message = f"spec.suspend is true, and the run has no pods. Set it to false, and the run {then}."
    return Statement(ConditionType.SUSPENDED, "True", Reason.SUSPENDED, message)


def seconds_until_news(run: GRPORun, left: Sequence[ObservedPod], now: datetime) -> float | None:
    """When to look again at pods that are left."""
    own_s = GONE_GRACE_S - _seconds_held(run, now) if left else _seconds_until_settled(run, now)
    waits = [seconds_until_given_up(left, now), own_s]
    return min((wait for wait in waits if wait is not None and wait > 0), default=None)


def _seconds_until_settled(run: GRPORun, now: datetime) -> float:
    return SETTLED_S - _seconds_held(run, now) if run.status.started_at else 0.0


def _seconds_held(run: GRPORun, now: datetime) -> float:
    since = run.status.suspended_at
    return (now - time_of(since)).total_seconds() if since else 0.0
