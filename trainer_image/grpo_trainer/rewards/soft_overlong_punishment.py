"""`soft_overlong_punishment`: a penalty that grows with the last tokens of what is allowed (Open-R1).

DAPO (arXiv:2503.14476), equation 13.
"""

from collections.abc import Sequence

from grpo_contract.failure import PodReason, UserError
from grpo_trainer.rewards.arguments import RewardArguments
from grpo_trainer.rewards.registry import RewardFunction


def soft_overlong_punishment_for(arguments: RewardArguments) -> RewardFunction:
    longest, cache = arguments.max_completion_len, arguments.soft_punish_cache
    if cache > longest:
        raise UserError(
            PodReason.INVALID_RECIPE,
            f"spec.recipe.soft_punish_cache: {cache} is more than max_completion_len {longest}; lower it or raise "
            "max_completion_len.",
        )

    def punishment(length: int) -> float:
        if length > longest:
            return -1.0
        return min(0.0, (longest - cache - length) / cache) if cache else 0.0

    def soft_overlong_punishment(completion_ids: Sequence[Sequence[int]], **_: object) -> list[float]:
        """-1 to 0 per completion, by its tokens."""
        return [punishment(len(ids)) for ids in completion_ids]

    return soft_overlong_punishment
