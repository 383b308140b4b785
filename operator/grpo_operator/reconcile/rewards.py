"""RewardsHealthy: whether reward functions score. Learners judge it themselves, and end when they do not."""

from grpo_contract.failure import PodReason
from grpo_contract.progress import Progress
from grpo_contract.rewards import ERROR_WINDOW_STEPS
from grpo_operator.api.status import ConditionType
from grpo_operator.reconcile.conditions import Statement
from grpo_operator.reconcile.failure import Cause
from grpo_operator.reconcile.reasons import Reason


def judge_rewards(progress: Progress | None) -> Statement | None:
    """None before the first step of an attempt, and of learners that do not tell: what was said before still holds."""
    health = progress.reward_health if progress else None
    if health is None:
        return None
    share = (
        f"{100 * health.error_share:.3g} % of the completions of the last {ERROR_WINDOW_STEPS} steps have no reward "
        "because a reward function failed."
    )
    last_error = f" The last error: {health.last_error}." if health.last_error else ""
    return Statement(ConditionType.REWARDS_HEALTHY, "True", Reason.SCORING, share + last_error)


def failing_rewards(cause: Cause) -> list[Statement]:
    """What else is to be said of a run that fails by this cause."""
    if cause.reason != PodReason.REWARDS_FAILING:
        return []
    return [Statement(ConditionType.REWARDS_HEALTHY, "False", PodReason.REWARDS_FAILING, cause.message)]
