"""What both sides of test_parity.py are given: the configurations, the generators' answers, the reward functions.

Reward processes and TRL's side import this: nothing of the product in here, and nothing heavy.
"""

import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from trainer.played_generation import PlayedGeneration, in_trl_form

LOSS_TYPES = ("grpo", "dapo", "dr_grpo", "bnpo")
SCALES = ("group", "batch", "none")
BETAS = (0.0, 0.04)


def case_of(row: int, column: int) -> dict[str, Any]:
    return {
        "loss_type": LOSS_TYPES[row],
        "beta": BETAS[(row + column) % len(BETAS)],
        "scale_rewards": SCALES[column],
    }


CASES = {
    "{loss_type}-beta-{beta}-scale-{scale_rewards}".format(**case): case
    for case in itertools.starmap(case_of, itertools.product(range(len(LOSS_TYPES)), range(len(SCALES))))
}
"""Each value of a key meets each value of the two others."""

STATE = "trainer_state.json"
"""In which both sides leave what TRL has logged of each step."""

Answer = tuple[list[int], list[float]]
"""Tokens of a completion, and the sampler's log-probability of each."""


class ScriptedGenerators(PlayedGeneration):
    """VLLMGeneration's face towards TRL. An answer depends on the prompt and on its place in the group alone."""

    def __init__(self, script: dict[str, list[Answer]]) -> None:
        """`script`: {tokens of the prompt: its group}. A prompt that is tokenized otherwise is in none."""
        super().__init__()
        self.script = script

    def generate(self, prompts: list[list[int]], images: Any, num_generations: int, profiler: Any = None) -> Any:
        answers = [self.script[str(prompt)][number % num_generations] for number, prompt in enumerate(prompts)]
        return in_trl_form(prompts, [tokens for tokens, _ in answers], [logprobs for _, logprobs in answers])


def scripted(script: Path) -> Callable[..., ScriptedGenerators]:
    """Takes the place of VLLMGeneration, whatever that is made from."""
    answers = json.loads(script.read_text())
    return lambda *_, **__: ScriptedGenerators(answers)


def digits(completions: Sequence[Any], **_: Any) -> list[float]:
    """The share of digits."""
    texts = [completion[0]["content"] for completion in completions]
    return [sum(character.isdigit() for character in text) / max(len(text), 1) for text in texts]


def hits(completions: Sequence[Any], solution: Sequence[str], **_: Any) -> list[float | None]:
    """Is the solution in it? Without an equals sign there is nothing to judge."""
    texts = [completion[0]["content"] for completion in completions]
    return [
        float(answer.strip("$") in text) if "=" in text else None for text, answer in zip(texts, solution, strict=True)
    ]
