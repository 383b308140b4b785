"""Completions on the volume, for people to read: Parquet files that learner 0 writes and the page of the run reads.

A file holds the completions of one step, or of a block of steps once all of them are over. While a block takes up the files of
its steps, a file of one step counts, and what the block holds of it does not.
"""

import re
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Final

BLOCK_STEPS: Final = 50
"""Few files for a query to open, and little to write anew when a step of them is made again."""


class Column(StrEnum):
    """Of the files; a row for each completion."""

    STEP = "step"
    """The first optimizer step that learnt from it."""
    ATTEMPT = "attempt"
    AT = "at"
    """When it had been scored; UTC."""
    GROUP = "group"
    """Completions of one prompt; the place of the prompt in the step, from 0."""
    MEMBER = "member"
    """Its place in the group, from 0."""
    PROMPT = "prompt"
    COMPLETION = "completion"
    PROMPT_TOKENS = "prompt_tokens"
    TOKENS = "tokens"
    IS_TRUNCATED = "is_truncated"
    """It was cut off at max_completion_length."""
    WEIGHT_VERSION = "weight_version"
    """Of the weights that its first token was sampled from: so many updates were published before, in its attempt."""
    REWARD = "reward"
    """Weighted sum over the functions that gave one; null where none did."""
    ADVANTAGE = "advantage"
    REWARDS = "rewards"
    """By function, before weights; null where it gave none."""
    DISAGREEMENT = "disagreement"
    """How far functions are apart on it, in standard deviations of each over the step; null where there are less than two."""
    COMPRESSION_RATIO = "compression_ratio"
    """Of its most repetitive 2 KiB: text has about 2, and the same words again and again 5 or more."""
    REASONING_WORDS = "reasoning_words"
    """Words of what it thinks before it answers; null where it marks neither."""


_STEP: Final = re.compile(r"step-(\d{8})\.parquet")
_BLOCK: Final = re.compile(r"steps-(\d{8})-(\d{8})\.parquet")


def step_file(step: int) -> str:
    return f"step-{step:08}.parquet"


def step_of_file(name: str) -> int | None:
    """None where it is not the file of one step."""
    found = _STEP.fullmatch(name)
    return int(found[1]) if found else None


def files_of_steps(files: Iterable[Path]) -> dict[int, Path]:
    """By their steps; others are left out."""
    return {step: file for file in files if (step := step_of_file(file.name)) is not None}


def files_of_blocks(files: Iterable[Path]) -> dict[int, Path]:
    """By their first steps; others are left out."""
    return {first: file for file in files if (first := first_of_block_file(file.name)) is not None}


def block_of(step: int) -> int:
    """The first step of its block; steps are counted from 1."""
    return (step - 1) // BLOCK_STEPS * BLOCK_STEPS + 1


def block_file(first: int) -> str:
    return f"steps-{first:08}-{first + BLOCK_STEPS - 1:08}.parquet"


def first_of_block_file(name: str) -> int | None:
    """None where it is not the file of a block."""
    found = _BLOCK.fullmatch(name)
    return int(found[1]) if found else None
