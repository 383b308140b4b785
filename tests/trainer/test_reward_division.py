"""How a batch is divided into calls, and calls into messages."""

from typing import Any

import pytest

from grpo_trainer.rewards.processes.division import Division, divided, first_chunk

CHAT = [[{"role": "user", "content": text}] for text in ("a", "b", "a", "c")]


@pytest.mark.parametrize(
    ("function", "prompts", "division"),
    [
        ("accuracy", ["a", "b", "a"], Division([[0], [1], [2]])),
        ("format", ["a"], Division([[0]])),
        ("length", ["a", "b", "a", "c"], Division([[0, 2], [1], [3]])),
        ("length", CHAT, Division([[0, 2], [1], [3]])),
        ("mine:f", ["a", "b", "a"], Division([[0, 1, 2]])),
        ("mine:length", ["a", "b"], Division([[0, 1]])),
        ("http://judge/score", ["a", "b", "a"], Division([[0, 2], [1]], joins=True)),
    ],
)
def test_parts(function: str, prompts: list[Any], division: Division) -> None:
    assert divided(function, prompts, per_group=False) == division


def test_parts_of_a_function_that_needs_no_more_than_a_group() -> None:
    assert divided("mine:f", ["a", "b", "a"], per_group=True) == Division([[0, 2], [1]], joins=True)


@pytest.mark.parametrize(
    ("sizes", "messages"),
    [
        ([1] * 3, [3]),
        ([1] * 8, [8]),
        ([1] * 20, [8, 8, 4]),
        ([16, 16], [1, 1]),
        ([4, 4, 4, 4, 4], [2, 2, 1]),
        ([64], [1]),
        ([], []),
    ],
)
def test_messages_hold_eight_completions_at_least(sizes: list[int], messages: list[int]) -> None:
    """The last one holds what is left."""
    left, found = [list(range(size)) for size in sizes], []
    while left:
        chunk = first_chunk(left)
        assert list(chunk) == left[: len(chunk)]
        found.append(len(chunk))
        left = left[len(chunk) :]
    assert found == messages
