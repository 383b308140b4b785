"""`format`: is the completion <think>...</think><answer>...</answer>, with the line breaks that Open-R1 asks for?"""

import re
from collections.abc import Sequence
from typing import Final

from grpo_trainer.rewards.completion import Completion, text_of

# Open-R1's pattern and flags. With MULTILINE, `$` also matches before a line break: text after the answer is not
# punished.
FORMAT: Final = re.compile(r"^<think>\n.*?\n</think>\n<answer>\n.*?\n</answer>$", re.DOTALL | re.MULTILINE)


def format_reward(completions: Sequence[Completion], **_: object) -> list[float]:
    """1 or 0 per completion."""
    return [1.0 if FORMAT.match(text_of(completion)) else 0.0 for completion in completions]
