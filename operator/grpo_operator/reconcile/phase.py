"""The phase: one word for people, derived from the conditions alone."""

from collections.abc import Sequence
from typing import Final

from grpo_operator.api.status import Condition, ConditionType, Phase
from grpo_operator.reconcile.conditions import find, is_true
from grpo_operator.reconcile.reasons import Reason

_BY_PROGRESS: Final = {
    Reason.TRAINING: Phase.RUNNING,
    Reason.SAVING: Phase.RUNNING,
    Reason.PROGRESS_UNREADABLE: Phase.RUNNING,
    Reason.RESTARTING: Phase.RESTARTING,
}


def phase_of(conditions: Sequence[Condition]) -> Phase:
    if is_true(conditions, ConditionType.FAILED):
        return Phase.FAILED
    if is_true(conditions, ConditionType.SUCCEEDED):
        return Phase.SUCCEEDED
    if not is_true(conditions, ConditionType.ACCEPTED):
        return Phase.PENDING
    progressing = find(conditions, ConditionType.PROGRESSING)
    if progressing is None:
        return Phase.STARTING
    return next((phase for reason, phase in _BY_PROGRESS.items() if reason == progressing.reason), Phase.STARTING)


def has_ended(conditions: Sequence[Condition]) -> bool:
    return is_true(conditions, ConditionType.FAILED) or is_true(conditions, ConditionType.SUCCEEDED)
