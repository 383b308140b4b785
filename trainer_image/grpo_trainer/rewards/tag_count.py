"""`tag_count`: partial credit on the way to `format`, a quarter for each tag that occurs exactly once (Open-R1)."""

from collections.abc import Sequence
from typing import Final

from grpo_trainer.rewards.completion import Completion, text_of

TAGS: Final = ("<think>\n", "\n</think>\n", "\n<answer>\n", "\n</answer>")


def tag_count_reward(completions: Sequence[Completion], **_: object) -> list[float]:
    """0, 0.25, ... 1 per completion."""
    return [sum(0.25 for tag in TAGS if text.count(tag) == 1) for text in map(text_of, completions)]
