"""Where two completions differ, word by word; of long ones, line by line."""

import re
from difflib import SequenceMatcher
from typing import Final, NamedTuple

MOST_WORDS: Final = 8000
"""Of both. The time grows with the square of it."""
_WORDS: Final = re.compile(r"\w+|\s+|[^\w\s]")


class Part(NamedTuple):
    text: str
    is_common: bool


def difference(one: str, other: str) -> tuple[list[Part], list[Part]]:
    """Both as parts, in order."""
    words, others = _WORDS.findall(one), _WORDS.findall(other)
    if len(words) + len(others) > MOST_WORDS:
        words, others = one.splitlines(keepends=True), other.splitlines(keepends=True)
    of_one, of_other = [], []
    for tag, start, end, other_start, other_end in SequenceMatcher(None, words, others).get_opcodes():
        of_one.append(Part("".join(words[start:end]), tag == "equal"))
        of_other.append(Part("".join(others[other_start:other_end]), tag == "equal"))
    return _without_empty(of_one), _without_empty(of_other)


def _without_empty(parts: list[Part]) -> list[Part]:
    return [part for part in parts if part.text]
