"""What a trainer's state says of an early end; also for those who read it without transformers."""

from collections.abc import Mapping
from typing import Any, Final

CALLBACK: Final = "EarlyStopping"
"""Whose state says so: transformers files states under the names of classes."""


def ended_early(stateful_callbacks: Mapping[str, Any]) -> str | None:
    """Why training ended before its last step; None: it did not."""
    state = stateful_callbacks.get(CALLBACK)
    reason: str | None = None if state is None else state["attributes"]["ended_early"]
    return reason
