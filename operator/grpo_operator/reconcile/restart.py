"""When the next attempt may start: not before the last one's pods are gone, nor at once when attempts keep failing."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from grpo_operator.api.run import GRPORun
from grpo_operator.api.status import ConditionType
from grpo_operator.backoff import doubled
from grpo_operator.reconcile.conditions import Statement
from grpo_operator.reconcile.observed import ObservedPod
from grpo_operator.reconcile.reasons import Reason

FIRST_PAUSE_S: Final = 10.0
LONGEST_PAUSE_S: Final = 300.0

GONE_GRACE_S: Final = 60.0
"""How long a pod may outlive its grace period before it is not waited for any more: its node answers nobody. It cannot
join the next attempt, whose Service selects its own learner 0 alone."""

RUNS_ON: Final = "runs on although its Job is gone, and nobody ends it: delete it"
"""Of a learner, after its name."""


def pause_s(attempts_without_step: int) -> float:
    """Before the next attempt. After one that has made steps, or the first that has not, it starts at once: mostly a pod was
    lost, and GPUs stand idle."""
    if attempts_without_step <= 1:
        return 0.0
    return doubled(FIRST_PAUSE_S, attempts_without_step - 2, LONGEST_PAUSE_S)


def counted(run: GRPORun, attempt: int) -> int:
    """Which attempt it is of those that count: one that a suspension or a disruption ended has not failed."""
    return attempt - run.status.suspensions - run.status.disruptions


def start_of(run: GRPORun, attempt: int) -> str:
    """Where the attempt begins, in a sentence."""
    return f"Attempt {attempt} starts from {origin_of(run)}."


def origin_of(run: GRPORun) -> str:
    """Where a new attempt begins, by what the run's status knows. It does not know what learners save when they are asked to
    end, nor whether they do."""
    if run.status.checkpoint is not None:
        return f"the newest checkpoint, of step {run.status.checkpoint.step} or later"
    source = run.spec.recipe.get("resume_from_checkpoint")
    where = source if isinstance(source, str) else "the beginning"
    if run.status.progress.step == 0:
        return f"{where}: the run has written no checkpoint yet"
    return f"the newest checkpoint, if learners have saved one at their end, or else from {where}"


def seconds_to_wait(
    attempts_without_step: int, failed_at: datetime | None, leftovers: Iterable[ObservedPod], now: datetime
) -> float:
    """Zero when the next attempt may start. `failed_at`: when the last one did; `leftovers`: learners not of its own."""
    pause = pause_s(attempts_without_step) - (now - failed_at).total_seconds() if failed_at else 0.0
    return max(0.0, pause, seconds_until_gone(leftovers, now))


def seconds_until_gone(pods: Iterable[ObservedPod], now: datetime) -> float:
    """At most, or until the last of them is given up. Zero when none holds anything any more."""
    return max((0.0, *(_seconds_to_go(pod, now) for pod in pods)))


def is_given_up(pod: ObservedPod, now: datetime) -> bool:
    """It should long be gone, and its node does not say that it has ended."""
    return pod.gone_at is not None and _seconds_to_go(pod, now) <= 0 and not pod.is_over


def seconds_until_given_up(pods: Iterable[ObservedPod], now: datetime) -> float | None:
    rest = (_seconds_to_go(pod, now) for pod in pods if pod.gone_at)
    return min((seconds for seconds in rest if seconds > 0), default=None)


def _seconds_to_go(pod: ObservedPod, now: datetime) -> float:
    if pod.is_over:
        return 0.0
    if pod.gone_at is None:
        return GONE_GRACE_S  # its Job is deleted, so its own deletion is about to be reported, or it was left behind
    return GONE_GRACE_S - (now - pod.gone_at).total_seconds()


def judge_left_behind(
    attempt: int, failed_at: datetime | None, previous: Iterable[ObservedPod], now: datetime
) -> Statement | None:
    """Of a learner of an earlier attempt whose Job was deleted without it. It is waited for all the same: on a node that
    answers, it may hold GPUs and write checkpoints."""
    if failed_at is None or (now - failed_at).total_seconds() < GONE_GRACE_S:
        return None
    pod = next((pod for pod in previous if pod.gone_at is None and not pod.is_over), None)
    if pod is None:
        return None
    message = (
        f"Pod {pod.name} of attempt {pod.attempt} {RUNS_ON}. "
        f"Attempt {attempt} starts when it is gone, so that no two attempts write checkpoints."
    )
    return Statement(ConditionType.PROGRESSING, "False", Reason.LEARNER_LEFT_BEHIND, message)
