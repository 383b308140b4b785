"""`cosine`: right completions score more the shorter they are, wrong ones have a scale of their own (Open-R1).

After Yeo et al., Demystifying Long Chain-of-Thought Reasoning in LLMs (arXiv:2502.03373), without the penalty for a
completion that was cut off. Differs from Open-R1 where that would mislead: beyond `cosine_max_len` the score stays, there
the cosine rises again; and right or wrong is what `accuracy` says, None and FAILED included, there a solution that
cannot be parsed gives 1.
"""

import math
from collections.abc import Sequence

from grpo_trainer.rewards.accuracy import accuracy_reward
from grpo_trainer.rewards.arguments import RewardArguments
from grpo_trainer.rewards.completion import Completion, text_of
from grpo_trainer.rewards.registry import RewardFunction
from grpo_trainer.rewards.score import Failed, Score


def cosine_reward_for(arguments: RewardArguments) -> RewardFunction:
    # Open-R1's names: of wrong ones, "min" is at length 0, of right ones it is at the full length.
    wrong = (arguments.cosine_min_value_wrong, arguments.cosine_max_value_wrong)
    right = (arguments.cosine_max_value_correct, arguments.cosine_min_value_correct)

    def scaled(verdict: Score, length: int) -> Score:
        if verdict is None or isinstance(verdict, Failed):
            return verdict
        shortest, longest = right if verdict else wrong
        progress = min(1.0, length / arguments.cosine_max_len)
        return longest + (shortest - longest) * (1 + math.cos(math.pi * progress)) / 2

    def cosine_reward(completions: Sequence[Completion], solution: Sequence[str], **_: object) -> list[Score]:
        """Between the two values of right, or of wrong, completions; None or FAILED as `accuracy`."""
        verdicts = accuracy_reward(completions, solution)
        return [
            scaled(verdict, len(text_of(completion))) for verdict, completion in zip(verdicts, completions, strict=True)
        ]

    return cosine_reward
