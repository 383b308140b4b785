"""The sentence about a key that nobody knows, with the nearest one that somebody does."""

import difflib
from collections.abc import Iterable
from typing import Final

IN_RECIPES: Final = "key in TRL or Open-R1"


def unknown_key(path: str, key: str, known: Iterable[str], what: str = IN_RECIPES) -> str:
    """`path` leads to the object that holds the key."""
    nearest = difflib.get_close_matches(key, list(known), n=1)
    remedy = f"did you mean {nearest[0]}?" if nearest else "remove it."
    return f"{path}.{key}: no such {what}; {remedy}"
