"""When the next attempt may start: not before the last one's pods are gone, nor at once when attempts keep failing."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from grpo_operator.reconcile.observed import ObservedPod

FIRST_PAUSE_S: Final = 10.0
LONGEST_PAUSE_S: Final = 300.0

GONE_GRACE_S: Final = 60.0
"""How long a pod may outlive its grace period before it is not waited for any more: its node answers nobody. It cannot
join the next attempt, whose Service selects its own learner 0 alone."""


def pause_s(attempt: int) -> float:
    """Before this attempt. The second one starts at once: mostly a pod was lost, and GPUs stand idle."""
    if attempt <= 2:
        return 0.0
    pause: float = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (attempt - 3))
    return pause


def seconds_to_wait(attempt: int, failed_at: datetime | None, leftovers: Iterable[ObservedPod], now: datetime) -> float:
    """Zero when the attempt may start. `failed_at`: when the last one did; `leftovers`: learners not of its own."""
    pause = pause_s(attempt) - (now - failed_at).total_seconds() if failed_at else 0.0
    return max(0.0, pause, *(_seconds_to_go(pod, now) for pod in leftovers))


def _seconds_to_go(pod: ObservedPod, now: datetime) -> float:
    if pod.is_over:
        return 0.0
    if pod.gone_at is None:
        return GONE_GRACE_S  # its Job is deleted, so its own deletion is about to be reported
    return GONE_GRACE_S - (now - pod.gone_at).total_seconds()
