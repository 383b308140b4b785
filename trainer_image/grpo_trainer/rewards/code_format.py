"""`code_format`: is the completion laid out as `format` asks, with a block of code in its answer? (Open-R1)"""

import re
from collections.abc import Sequence

from grpo_trainer.rewards.arguments import RewardArguments
from grpo_trainer.rewards.completion import Completion, text_of
from grpo_trainer.rewards.registry import RewardFunction


def code_format_reward_for(arguments: RewardArguments) -> RewardFunction:
    def code_format_reward(
        completions: Sequence[Completion], language: Sequence[str | None] | None = None, **_: object
    ) -> list[float]:
        """1 or 0 per completion. `language` is a column of the data set, where it has one."""
        languages = language or [None] * len(completions)
        return [
            1.0 if layout(own or arguments.code_language).match(text_of(completion)) else 0.0
            for completion, own in zip(completions, languages, strict=True)
        ]

    return code_format_reward


def layout(language: str) -> re.Pattern[str]:
    """Open-R1's: the word after the fence begins with the language's name, and `$` is the end of a line.

    The name is text here, not a pattern ("c++"). Atomic groups match the same completions and never turn back: with
    Open-R1's pattern a completion that goes on opening blocks takes minutes.
    """
    parts = (r"\n</think>\n<answer>\n", f"```{re.escape(language)}", "```", r"\n</answer>$")
    return re.compile("<think>\n" + "".join(f"(?>.*?{part})" for part in parts), re.DOTALL | re.MULTILINE)
