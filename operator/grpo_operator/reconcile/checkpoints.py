"""CheckpointHealthy: what a failure would cost the run. Learners find it out; the run goes on whatever they find."""

from typing import Final

from grpo_contract.failure import PodReason
from grpo_contract.progress import CheckpointTrouble, Progress
from grpo_operator.api.run import GRPORun
from grpo_operator.api.status import ConditionType
from grpo_operator.reconcile.conditions import Statement, find
from grpo_operator.reconcile.reasons import Reason

_REASONS: Final = {
    CheckpointTrouble.DAMAGED: Reason.CHECKPOINT_DAMAGED,
    CheckpointTrouble.VOLUME_FULL: PodReason.VOLUME_FULL,
    CheckpointTrouble.NOT_WRITTEN: Reason.CHECKPOINT_NOT_WRITTEN,
}
_CONDITION: Final = ConditionType.CHECKPOINT_HEALTHY


def judge_checkpoints(run: GRPORun, progress: Progress | None) -> Statement | None:
    """None of learners that say nothing of it: what was said before still holds."""
    health = progress.checkpoint_health if progress else None
    if progress is None or health is None:
        return None if find(run.status.conditions, _CONDITION) else _nothing_known()
    if health.trouble is not None:
        return Statement(_CONDITION, "False", _REASONS[health.trouble], health.message or "")
    if progress.checkpoint is None:
        return _nothing_known()
    message = f"The newest checkpoint, of step {progress.checkpoint.step}, is whole."
    return Statement(_CONDITION, "True", Reason.CHECKPOINT_WHOLE, message)


def _nothing_known() -> Statement:
    return Statement(_CONDITION, "Unknown", Reason.NO_CHECKPOINT_YET, "Learners have written no checkpoint yet.")
