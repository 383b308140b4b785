"""Exact values of the rewards that look at the text alone; those of Open-R1's functions, where no comment says otherwise."""

import pytest

from grpo_trainer.rewards import registry
from grpo_trainer.rewards.arguments import RewardArguments
from grpo_trainer.rewards.reasoning_steps import reasoning_steps_reward

STEPS: list[tuple[str, float]] = [
    ("", 0.0),
    ("Step one: add.", 0.0),
    ("Step 1: add.", 1 / 3),
    ("First, add. Second, divide.", 2 / 3),
    ("First, add. Next, divide. Finally, round.", 1.0),
    ("Step 1: a Step 2: b Step 3: c Step 4: d", 1.0),
    ("first, add. Second divide.", 0.0),
    ("Sum:\n- a\n* b", 2 / 3),
    ("- a\n- b", 1 / 3),
    ("1. a\n2. b\n3. c", 1 / 3),  # only at the beginning of the completion
    ("Sum:\n1. a\n2. b", 0.0),
]


@pytest.mark.parametrize(("completion", "reward"), STEPS)
def test_reasoning_steps(completion: str, reward: float) -> None:
    assert reasoning_steps_reward([completion]) == [reward]
    assert reasoning_steps_reward([[{"role": "assistant", "content": completion}]]) == [reward]


REPETITION: list[tuple[str, int, float, float]] = [
    # completion, repetition_n_grams, repetition_max_penalty, reward
    ("", 3, -1.0, 0.0),
    ("one two", 3, -1.0, 0.0),
    ("one two three", 3, -1.0, 0.0),
    ("one two three four", 3, -1.0, 0.0),
    ("one two one two one", 3, -1.0, -1 / 3),
    ("One two\none  two\tONE", 3, -1.0, -1 / 3),
    ("one, two one two", 2, -1.0, 0.0),  # "one," is another word
    ("no no no no no", 3, -1.0, -2 / 3),
    ("no no no no no", 3, -0.6, -0.4),
    ("no no no no no", 1, -1.0, -0.8),
    ("no no no no no", 3, 0.0, 0.0),
]


@pytest.mark.parametrize(("completion", "n", "penalty", "reward"), REPETITION)
def test_repetition_penalty(completion: str, n: int, penalty: float, reward: float) -> None:
    function = registry.load(
        "repetition_penalty", RewardArguments(repetition_n_grams=n, repetition_max_penalty=penalty)
    )
    assert function([completion]) == pytest.approx([reward])
    assert function([[{"role": "assistant", "content": completion}]]) == pytest.approx([reward])


def in_answer(text: str) -> str:
    return f"<think>\nwork\n</think>\n<answer>\n{text}\n</answer>"


PROGRAM = in_answer("Here:\n```python\nprint(5)\n```")
CODE_FORMAT: list[tuple[str, str, float]] = [
    # completion, code_language, reward
    (PROGRAM, "python", 1.0),
    (PROGRAM, "cpp", 0.0),
    (PROGRAM.replace("python", "cpp"), "cpp", 1.0),
    (PROGRAM.replace("python", "python3"), "python", 1.0),
    (PROGRAM.replace("python", "javascript"), "java", 1.0),
    (PROGRAM.replace("python", "Python"), "python", 0.0),
    (PROGRAM.replace("```python", "```"), "python", 0.0),
    (PROGRAM + "\nand more", "python", 1.0),
    (PROGRAM + " and more", "python", 0.0),
    ("Well: " + PROGRAM, "python", 0.0),
    (in_answer("```python\nprint(5)"), "python", 0.0),
    (in_answer("```python\nprint(5)\n```\nor\n```python\nprint(6)\n```"), "python", 1.0),
    (in_answer("5"), "python", 0.0),
    ("<think>\n```python\nprint(5)\n```\n</think>\n<answer>\n5\n</answer>", "python", 0.0),
    ("```python\nprint(5)\n```", "python", 0.0),
    ("", "python", 0.0),
    # In Open-R1 the name is a pattern: "c++" is one or more c there.
    (PROGRAM.replace("python", "c++"), "c++", 1.0),
    (PROGRAM.replace("python", "ccc"), "c++", 0.0),
]


@pytest.mark.parametrize(("completion", "language", "reward"), CODE_FORMAT)
def test_code_format(completion: str, language: str, reward: float) -> None:
    function = registry.load("code_format", RewardArguments(code_language=language))
    assert function([completion]) == [reward]
    assert function([[{"role": "assistant", "content": completion}]]) == [reward]


def test_a_column_of_languages_comes_before_the_recipes() -> None:
    function = registry.load("code_format", RewardArguments(code_language="python"))
    assert function([PROGRAM] * 3, language=["python", "cpp", None]) == [1.0, 0.0, 1.0]


def test_a_completion_that_goes_on_opening_blocks_is_judged_at_once() -> None:
    """Open-R1's pattern needs a time that grows with the third power of their number: for these, years."""
    endless = in_answer("```python\n" * 100_000).removesuffix("</answer>")
    assert registry.load("code_format", RewardArguments())([endless]) == [0.0]


OVERLONG: list[tuple[int, int, int, float]] = [
    # tokens, max_completion_len, soft_punish_cache, reward
    (0, 100, 20, 0.0),
    (80, 100, 20, 0.0),
    (81, 100, 20, -0.05),
    (90, 100, 20, -0.5),
    (100, 100, 20, -1.0),
    (101, 100, 20, -1.0),
    (10_000, 100, 20, -1.0),
    (100, 100, 0, 0.0),
    (101, 100, 0, -1.0),
    (0, 100, 100, 0.0),
    (1, 100, 100, -0.01),
    (12_288, 16_384, 4_096, 0.0),
    (14_336, 16_384, 4_096, -0.5),
]


@pytest.mark.parametrize(("tokens", "longest", "cache", "reward"), OVERLONG)
def test_soft_overlong_punishment(tokens: int, longest: int, cache: int, reward: float) -> None:
    arguments = RewardArguments(max_completion_len=longest, soft_punish_cache=cache)
    function = registry.load("soft_overlong_punishment", arguments)
    assert function(completions=["..."], completion_ids=[[7] * tokens]) == [reward]
