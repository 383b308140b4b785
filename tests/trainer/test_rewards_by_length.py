"""Exact values of the rewards that compare lengths of right and wrong completions."""

import math
from typing import Any

import pytest

from grpo_trainer.rewards import accuracy as accuracy_module
from grpo_trainer.rewards import registry
from grpo_trainer.rewards.arguments import RewardArguments
from grpo_trainer.rewards.length import length_reward
from grpo_trainer.rewards.score import FAILED, Score

SOLUTION = "$5$"
ENDLESS = r"\boxed{9^{9^{9^{9}}}}"


def right(length: int) -> str:
    return r"\boxed{5}".ljust(length, ".")


def wrong(length: int) -> str:
    return r"\boxed{6}".ljust(length, ".")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accuracy_module, "VERIFY_TIMEOUT_S", 1)


OTHERS: dict[str, Any] = {
    "cosine_min_value_wrong": -1.0,
    "cosine_max_value_wrong": -0.5,
    "cosine_min_value_correct": 0.0,
    "cosine_max_value_correct": 2.0,
    "cosine_max_len": 100,
}
COSINE: list[tuple[str, str, dict[str, Any], Score]] = [
    # completion, solution, arguments, reward
    (right(500), SOLUTION, {}, 0.75),
    (right(250), SOLUTION, {}, 0.75 + math.sqrt(2) / 8),
    (right(1000), SOLUTION, {}, 0.5),
    ("", SOLUTION, {}, 0.0),
    (wrong(500), SOLUTION, {}, -0.25),
    (wrong(1000), SOLUTION, {}, -0.5),
    (right(50), SOLUTION, OTHERS, 1.0),
    (wrong(50), SOLUTION, OTHERS, -0.75),
    ("", SOLUTION, OTHERS, -1.0),
    # Open-R1's cosine rises again, to 1.0 and 0.0 here, and falls once more.
    (right(2000), SOLUTION, {}, 0.5),
    (wrong(2000), SOLUTION, {}, -0.5),
    (right(3000), SOLUTION, {}, 0.5),
    # Open-R1 finds no answer in these two, and so gives 1.0.
    (right(500), "5", {}, 0.75),
    (right(500), "hello", {}, None),
    (ENDLESS, SOLUTION, {}, FAILED),
]


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(("completion", "solution", "arguments", "reward"), COSINE)
def test_cosine(completion: str, solution: str, arguments: dict[str, Any], reward: Score) -> None:
    function = registry.load("cosine", RewardArguments(**arguments))
    assert function([completion], [solution]) == pytest.approx([reward])
    assert function([[{"role": "assistant", "content": completion}]], [solution]) == pytest.approx([reward])


LENGTH: dict[str, list[tuple[str, str, str, Score]]] = {
    # completions that are scored together: (prompt, completion, solution, reward)
    "right and wrong": [
        ("a", right(10), SOLUTION, 0.5),
        ("a", right(20), SOLUTION, 0.25),
        ("a", right(30), SOLUTION, 0.0),
        ("a", right(50), SOLUTION, -0.5),
        ("a", wrong(10), SOLUTION, 0.0),
        ("a", wrong(20), SOLUTION, 0.0),
        ("a", wrong(40), SOLUTION, -0.25),
        ("a", wrong(50), SOLUTION, -0.5),
    ],
    "equal lengths": [("a", right(10), SOLUTION, 0.0), ("a", wrong(10), SOLUTION, 0.0)],
    "one completion": [("a", right(10), SOLUTION, 0.0)],
    # Open-R1 compares them all, and gives 0.5, 0.25, 0.0, -0.5.
    "two prompts": [
        ("a", right(10), SOLUTION, 0.5),
        ("a", right(20), SOLUTION, -0.5),
        ("b", right(30), SOLUTION, 0.5),
        ("b", right(50), SOLUTION, -0.5),
    ],
    "prompts in turn": [
        ("a", right(10), SOLUTION, 0.5),
        ("b", right(30), SOLUTION, 0.5),
        ("a", right(20), SOLUTION, -0.5),
        ("b", right(50), SOLUTION, -0.5),
    ],
    # To Open-R1 every completion is right here.
    "no answer in the solution": [
        ("a", right(10), "hello", None),
        ("a", right(20), "hello", None),
        ("b", right(10), SOLUTION, 0.5),
        ("b", right(20), SOLUTION, -0.5),
    ],
    # The failed one is the longest, and no part of the comparison.
    "a failure": [
        ("a", right(10), SOLUTION, 0.5),
        ("a", right(20), SOLUTION, -0.5),
        ("a", ENDLESS.ljust(90, "."), SOLUTION, FAILED),
    ],
}


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("together", LENGTH)
def test_length(together: str) -> None:
    prompts, completions, solutions, rewards = zip(*LENGTH[together], strict=True)
    assert length_reward(prompts, completions, solutions) == pytest.approx(rewards)
    assert length_reward(
        [[{"role": "user", "content": prompt}] for prompt in prompts],
        [[{"role": "assistant", "content": completion}] for completion in completions],
        solutions,
    ) == pytest.approx(rewards)
