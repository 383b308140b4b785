"""The text of a completion, whichever of TRL's two formats the data set has."""

from typing import Any

Completion = str | list[dict[str, Any]]
"""Plain text, or messages when the prompt is a conversation."""


def text_of(completion: Completion) -> str:
    return completion if isinstance(completion, str) else str(completion[0]["content"])
