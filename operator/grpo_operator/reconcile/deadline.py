"""Whether the run has used up the time that `spec.activeDeadlineSeconds` gives it. Time in which it had no pods, suspended or
failed until `spec.maxRestarts` was raised, is none of it."""

from datetime import datetime

from grpo_operator.api.run import GRPORun
from grpo_operator.reconcile.failure import Cause
from grpo_operator.reconcile.observed import ObservedJob, time_of
from grpo_operator.reconcile.reasons import Reason


def exceeded_deadline(run: GRPORun, job: ObservedJob | None, now: datetime) -> Cause | None:
    """`job`: of the current attempt. One that has ended says by itself what becomes of the run."""
    rest_s = _seconds_left(run, now)
    if rest_s is None or rest_s > 0 or (job and job.has_ended):
        return None
    message = (
        f"spec.activeDeadlineSeconds is {run.spec.active_deadline_seconds}, and the run has been active for as long."
    )
    return Cause(Reason.DEADLINE_EXCEEDED, message, is_users_mistake=True)


def seconds_until_deadline(run: GRPORun, now: datetime) -> float | None:
    rest_s = _seconds_left(run, now)
    return rest_s if rest_s is not None and rest_s > 0 else None


def _seconds_left(run: GRPORun, now: datetime) -> float | None:
    given_s, started_at = run.spec.active_deadline_seconds, run.status.started_at
    if given_s is None or started_at is None:
        return None
    return given_s - ((now - time_of(started_at)).total_seconds() - run.status.inactive_seconds)
