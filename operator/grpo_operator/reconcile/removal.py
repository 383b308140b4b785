"""When a run that has ended is to be removed, by `spec.ttlSecondsAfterFinished`. All that it owns goes along."""

from datetime import datetime
from typing import Final

from grpo_operator.api.run import GRPORun
from grpo_operator.api.status import ConditionType, GRPORunStatus
from grpo_operator.reconcile.conditions import find
from grpo_operator.reconcile.observed import time_of
from grpo_operator.reconcile.phase import has_ended
from grpo_operator.reconcile.reasons import Reason

_WAITED_FOR: Final = (Reason.BENCHMARK_RUNNING, Reason.CHILD_REFUSED, Reason.NAME_TAKEN)
"""Reasons of Benchmarked while a model is being benchmarked, or waits for it."""


def seconds_until_removal(run: GRPORun, status: GRPORunStatus, now: datetime) -> float | None:
    """`status`: what is to be said of the run. None as long as it stays: it goes on, nobody wants it to be removed, its end is not on
    record yet, or a model of it is being benchmarked or waits for that."""
    kept_s, finished_at = run.spec.ttl_seconds_after_finished, run.status.finished_at
    if kept_s is None or finished_at is None or not has_ended(status.conditions):
        return None
    benchmarked = find(status.conditions, ConditionType.BENCHMARKED)
    if benchmarked and benchmarked.reason in _WAITED_FOR:
        return None
    return max(0.0, kept_s - (now - time_of(finished_at)).total_seconds())
