"""What makes a high reward suspicious, read off the text: that it says the same again and again, or answers without a thought."""

import re
import zlib
from typing import Final

WINDOW_BYTES: Final = 2048
"""Longer text of any kind compresses better: only the same length compares."""
LEAST_BYTES: Final = 256
"""Of less, what compression itself adds says most."""

_THOUGHT: Final = re.compile(r"<think>(.*?)(?:</think>|\Z)", re.DOTALL)
_ANSWER: Final = re.compile(r"<answer>|\\boxed\b")


def compression_ratio(text: str) -> float:
    """Of the most repetitive window; 1 for text that is too short to tell.

    After OpenAI's Whisper, which takes a segment with more than 2.4 for one that repeats itself.
    """
    content = text.encode()
    windows = (content[start : start + WINDOW_BYTES] for start in range(0, len(content), WINDOW_BYTES))
    return max((_ratio(window) for window in windows if len(window) >= LEAST_BYTES), default=1.0)


def _ratio(window: bytes) -> float:
    return len(window) / len(zlib.compress(window))


def reasoning_words(text: str) -> int | None:
    """Between <think> and </think>, or before the answer where only that is marked; None where neither is."""
    if (thought := _THOUGHT.search(text)) is not None:
        return len(thought[1].split())
    if (answer := _ANSWER.search(text)) is not None:
        return len(text[: answer.start()].split())
    return None
