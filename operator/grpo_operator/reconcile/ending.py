"""Failed: why a run has ended and how it is tried again; whether it goes on after all; and which of its pods go last.

A run that used up its restarts goes on when `spec.maxRestarts` is raised, which may change at any time. All else that ends a
run is a mistake in what cannot change.
"""

from datetime import datetime
from typing import Final

from grpo_operator.api.run import GRPORun
from grpo_operator.api.status import ConditionType
from grpo_operator.reconcile.conditions import Statement, find
from grpo_operator.reconcile.failure import Cause
from grpo_operator.reconcile.observed import time_of
from grpo_operator.reconcile.reasons import Reason
from grpo_operator.reconcile.restart import GONE_GRACE_S, counted, origin_of, seconds_until_gone
from grpo_operator.reconcile.world import Children

_TO_TRY_AGAIN: Final = "To try again, delete this run and apply the corrected one."
_VOLUME_GOES_ALONG: Final = (
    "Its volume goes along, with all that the run has saved, since spec.storage has neither retain nor claimName: copy "
    "first what you need of it."
)
_TO_GO_ON: Final = (
    "To go on, let another run start from its newest checkpoint: learners that have made a step save it at their end."
)
_DELETION_LOSES_IT: Final = (
    "Do not delete this run before that: its volume would go along, since spec.storage has neither retain nor "
    "claimName."
)


def judge_failure(run: GRPORun, attempt: int, cause: Cause) -> Statement:
    """Of a run that ends by this failure of this attempt."""
    if cause.reason == Reason.DEADLINE_EXCEEDED:
        remedy = f"{_TO_GO_ON} {_DELETION_LOSES_IT}" if _claim_goes_along(run) else _TO_GO_ON
        return Statement(ConditionType.FAILED, "True", cause.reason, f"{cause.message} {remedy}")
    if cause.is_users_mistake:
        remedy = f"{_TO_TRY_AGAIN} {_VOLUME_GOES_ALONG}" if _would_lose_work(run) else _TO_TRY_AGAIN
        return Statement(ConditionType.FAILED, "True", cause.reason, f"{cause.message} {remedy}")
    message = (
        f"Attempt {attempt} failed and maxRestarts is {run.spec.max_restarts}: {cause.message} Raise spec.maxRestarts to "
        f"{counted(run, attempt)} or more, and the run goes on from {origin_of(run)}."
    )
    return Statement(ConditionType.FAILED, "True", Reason.MAX_RESTARTS_EXCEEDED, message)


def _would_lose_work(run: GRPORun) -> bool:
    """When it is deleted."""
    has_saved = run.status.checkpoint is not None or run.status.model is not None
    return has_saved and _claim_goes_along(run)


def _claim_goes_along(run: GRPORun) -> bool:
    return not run.spec.storage.retain and run.spec.storage.claim_name is None


def should_resume(run: GRPORun, attempt: int) -> bool:
    """`attempt`: the one by whose failure the run has ended, if it has."""
    failed = find(run.status.conditions, ConditionType.FAILED)
    if failed is None or failed.status != "True" or failed.reason != Reason.MAX_RESTARTS_EXCEEDED:
        return False
    return counted(run, attempt) <= run.spec.max_restarts


def seconds_until_learners_have_saved(run: GRPORun, children: Children, now: datetime) -> float:
    """At most, of a run that has ended: learners that are out of time make their step to its end and save it. One whose Job
    was deleted without it, so that nobody ends it, is not waited for."""
    failed = find(run.status.conditions, ConditionType.FAILED)
    if failed is None or failed.reason != Reason.DEADLINE_EXCEEDED:
        return 0.0  # they have nothing to save, or cannot
    ended_at = time_of(run.status.finished_at) if run.status.finished_at else now
    is_asked = children.job or children.previous_jobs or (now - ended_at).total_seconds() < GONE_GRACE_S
    learners = (*children.previous_learners, *children.learners)
    return seconds_until_gone([pod for pod in learners if pod.gone_at or is_asked], now)
