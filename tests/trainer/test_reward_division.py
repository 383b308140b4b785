"""How a batch is divided into calls, and calls into messages."""

from typing import Any

import pytest

from grpo_trainer.rewards.processes.division import chunked, divided

CHAT = [[{"role": "user", "content": text}] for text in ("a", "b", "a", "c")]


@pytest.mark.parametrize(
    ("function", "prompts", "calls"),
    [
        ("accuracy", ["a", "b", "a"], [[0], [1], [2]]),
        ("format", ["a"], [[0]]),
        ("length", ["a", "b", "a", "c"], [[0, 2], [1], [3]]),
        ("length", CHAT, [[0, 2], [1], [3]]),
        ("mine:f", ["a", "b", "a"], [[0, 1, 2]]),
        ("mine:length", ["a", "b"], [[0, 1]]),
    ],
)
def test_calls(function: str, prompts: list[Any], calls: list[list[int]]) -> None:
    assert divided(function, prompts, len(prompts)) == calls


@pytest.mark.parametrize(
    ("sizes", "messages"),
    [
        ([1] * 3, [3]),
        ([1] * 8, [8]),
        ([1] * 20, [8, 8, 4]),
        ([16, 16], [1, 1]),
        ([4, 4, 4, 4, 4], [2, 2, 1]),
        ([64], [1]),
    ],
)
def test_messages_hold_eight_completions_at_least(sizes: list[int], messages: list[int]) -> None:
    """The last one holds what is left."""
    calls = [list(range(size)) for size in sizes]
    chunks = list(chunked(calls))
    assert [len(chunk) for chunk in chunks] == messages
    assert [call for chunk in chunks for call in chunk] == calls
