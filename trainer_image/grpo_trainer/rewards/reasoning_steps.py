"""`reasoning_steps`: does the completion mark its steps? A third for each mark, three are enough (Open-R1)."""

import re
from collections.abc import Sequence
from typing import Final

from grpo_trainer.rewards.completion import Completion, text_of

ENOUGH: Final = 3

# Open-R1's marks. Without MULTILINE, as there, `^` is the beginning of the completion: of a numbered list that stands
# at the beginning the first item counts, of another one none.
MARK: Final = re.compile(r"Step \d+:|^\d+\.|\n[-*]|(?:First|Second|Next|Finally),")


def reasoning_steps_reward(completions: Sequence[Completion], **_: object) -> list[float]:
    """0, 1/3, 2/3 or 1 per completion."""
    return [min(1.0, len(MARK.findall(text_of(completion))) / ENOUGH) for completion in completions]
