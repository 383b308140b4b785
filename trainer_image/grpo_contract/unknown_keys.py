"""The sentence about a key that nobody knows, with the nearest one that somebody does."""

import difflib
from collections.abc import Iterable
from typing import Final

IN_RECIPES: Final = "key in TRL or Open-R1"
SIMILAR: Final = 0.71
"""From here on difflib's likeness is that of a misspelt or shortened key (model_name); below, of keys that share a word
(frequency_penalty and repetition_penalty)."""


def unknown_key(path: str, key: str, known: Iterable[str], what: str = IN_RECIPES) -> str:
    """`path` leads to the object that holds the key."""
    nearest = difflib.get_close_matches(key, list(known), n=1, cutoff=SIMILAR)
    remedy = f"did you mean {nearest[0]}?" if nearest else "remove it."
    return f"{path}.{key}: no such {what}; {remedy}"
