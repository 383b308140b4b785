"""`length`: among the completions of one prompt the shorter ones score more, wrong ones never above 0 (Open-R1).

After Kimi k1.5 (arXiv:2501.12599), section 2.3.3, and as there among the completions of the same prompt: Open-R1
compares all that it is handed at once, so that easy prompts outdo those that need longer answers. Right or wrong is what
`accuracy` says, None and FAILED included; in Open-R1 a solution that cannot be parsed makes every completion right.
"""

from collections.abc import Sequence
from typing import Any

from grpo_trainer.rewards.accuracy import accuracy_reward
from grpo_trainer.rewards.completion import Completion, text_of
from grpo_trainer.rewards.prompts import places_by_prompt
from grpo_trainer.rewards.score import Failed, Score


def length_reward(
    prompts: Sequence[Any], completions: Sequence[Completion], solution: Sequence[str], **_: object
) -> list[Score]:
    """-0.5 to 0.5, or to 0 when wrong; 0 when all lengths are equal; None or FAILED as `accuracy`."""
    scores = accuracy_reward(completions, solution)
    for places in places_by_prompt(prompts):
        compared = [place for place in places if is_verdict(scores[place])]
        lengths = [len(text_of(completions[place])) for place in compared]
        for place, reward in zip(compared, shortness(lengths), strict=True):
            scores[place] = reward if scores[place] else min(0.0, reward)
    return scores


def is_verdict(score: Score) -> bool:
    return score is not None and not isinstance(score, Failed)


def shortness(lengths: Sequence[int]) -> list[float]:
    """0.5 for the shortest, -0.5 for the longest."""
    shortest, longest = min(lengths, default=0), max(lengths, default=0)
    if shortest == longest:
        return [0.0] * len(lengths)
    return [0.5 - (length - shortest) / (longest - shortest) for length in lengths]
