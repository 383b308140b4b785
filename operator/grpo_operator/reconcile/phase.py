"""The phase: one word for people, derived from the conditions and the attempt."""

from collections.abc import Sequence
from typing import Final

from grpo_operator.api.status import Condition, ConditionType, Phase
from grpo_operator.reconcile.conditions import find, is_true
from grpo_operator.reconcile.reasons import Reason

_BY_PROGRESS: Final[dict[tuple[str, str], Phase]] = {
    ("True", Reason.TRAINING): Phase.RUNNING,
    ("True", Reason.SAVING): Phase.RUNNING,
    ("True", Reason.EVALUATING): Phase.RUNNING,
    ("False", Reason.WAITING_FOR_GENERATORS): Phase.RUNNING,  # "True" before the first step
}
"""Of a run that goes on, by status and reason of Progressing; all else is on the way there."""

_BY_SUSPENSION: Final[dict[str, Phase]] = {
    Reason.SUSPENDING: Phase.SUSPENDING,
    Reason.SUSPENDED: Phase.SUSPENDED,
}
"""Of a run that is held, by the reason of Suspended."""


def phase_of(conditions: Sequence[Condition], attempt: int, before: Phase) -> Phase:
    """`before`: what the phase was."""
    if is_true(conditions, ConditionType.FAILED):
        return Phase.FAILED
    if is_true(conditions, ConditionType.SUCCEEDED):
        return Phase.SUCCEEDED
    suspended = find(conditions, ConditionType.SUSPENDED)
    if suspended and suspended.reason in _BY_SUSPENSION:
        return _BY_SUSPENSION[suspended.reason]
    storage = find(conditions, ConditionType.STORAGE_READY)
    if not is_true(conditions, ConditionType.ACCEPTED) or (storage and storage.reason == Reason.CLAIM_NOT_FOUND):
        return Phase.PENDING
    on_the_way = Phase.RESTARTING if attempt > 1 else Phase.STARTING
    progressing = find(conditions, ConditionType.PROGRESSING)
    if progressing is None:
        return on_the_way
    if progressing.reason == Reason.PROGRESS_UNREADABLE and before is Phase.RUNNING:
        return before  # it may run well
    return _BY_PROGRESS.get((progressing.status, progressing.reason), on_the_way)


def has_ended(conditions: Sequence[Condition]) -> bool:
    return is_true(conditions, ConditionType.FAILED) or is_true(conditions, ConditionType.SUCCEEDED)
