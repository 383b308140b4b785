"""`repetition_penalty`: the share of a completion's n-grams of words that were there before, as a penalty (Open-R1).

After Yeo et al., Demystifying Long Chain-of-Thought Reasoning in LLMs (arXiv:2502.03373), appendix C.2.
"""

from collections.abc import Sequence

from grpo_trainer.rewards.arguments import RewardArguments
from grpo_trainer.rewards.completion import Completion, text_of
from grpo_trainer.rewards.registry import RewardFunction


def repetition_penalty_reward_for(arguments: RewardArguments) -> RewardFunction:
    def repetition_penalty_reward(completions: Sequence[Completion], **_: object) -> list[float]:
        """From repetition_max_penalty to 0; 0 where there is no n-gram."""
        return [
            arguments.repetition_max_penalty * repeated_share(text_of(completion), arguments.repetition_n_grams)
            for completion in completions
        ]

    return repetition_penalty_reward


def repeated_share(text: str, n: int) -> float:
    """Words are what stands between white space, in lower case."""
    words = text.lower().split()
    ngrams = list(zip(*(words[start:] for start in range(n)), strict=False))
    return 1 - len(set(ngrams)) / len(ngrams) if ngrams else 0.0
