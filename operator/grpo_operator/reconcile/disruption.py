"""Disruptions: what takes an attempt's learners away without any fault of the run's. They are counted apart from failures and
never end a run; that they repeat is said of it.

Kubernetes' own answer, a podFailurePolicy that ignores them, would start one learner anew among others of the attempt, which
cannot take it back.
"""

from typing import Any, Final

from grpo_contract.failure import PodReason
from grpo_operator.api.status import ConditionType, GRPORunStatus
from grpo_operator.reconcile.conditions import Statement
from grpo_operator.reconcile.reasons import Reason

KEEPS_ON_AFTER: Final = 3
"""So many in a row, without a step in between, are no chance any more."""

_REASONS: Final = frozenset(
    {Reason.DISRUPTED, Reason.LEARNER_POD_LOST, Reason.LEARNER_NODE_LOST, PodReason.LEARNER_ASKED_TO_END}
)


def is_disruption(reason: str) -> bool:
    """`reason`: why an attempt ended."""
    return reason in _REASONS


def tally(status: GRPORunStatus, reason: str) -> dict[str, Any]:
    """The counts, after an attempt has ended for this reason. `status` is of before: an attempt has a pace once it made a step."""
    has_made_steps = status.progress.seconds_per_step is not None
    return {
        "disruptions": status.disruptions + is_disruption(reason),
        "attempts_without_step": 0 if has_made_steps else status.attempts_without_step + 1,
    }


def judge_next_attempt(status: GRPORunStatus, message: str) -> Statement:
    """Progressing, while the next attempt is on its way. `message`: where it starts."""
    if status.disruptions:
        attempts = "1 attempt" if status.disruptions == 1 else f"{status.disruptions} attempts"
        message += f" Disruptions have ended {attempts} of the run; spec.maxRestarts does not count them."
    was_disrupted = status.last_failure is not None and is_disruption(status.last_failure.reason)
    if not was_disrupted or status.attempts_without_step < KEEPS_ON_AFTER:
        return Statement(ConditionType.PROGRESSING, "True", Reason.RESTARTING, message)
    trouble = (
        f"The last {status.attempts_without_step} attempts ended before any of them had made a step, the last one by a "
        f"disruption: status.lastFailure says what took its pods away. {message}"
    )
    return Statement(ConditionType.PROGRESSING, "False", Reason.KEEPS_BEING_DISRUPTED, trouble)


def told_end(status: GRPORunStatus) -> str:
    """Of the attempt that `status.lastFailure` is about, in a sentence."""
    failure = status.last_failure
    assert failure is not None
    if not is_disruption(failure.reason):
        return f"Attempt {failure.attempt} failed: {failure.message}"
    return (
        f"Attempt {failure.attempt} was ended by disruption number {status.disruptions} of the run, which spec.maxRestarts "
        f"does not count: {failure.message}"
    )
