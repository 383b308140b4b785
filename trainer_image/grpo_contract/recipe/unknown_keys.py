"""Sentences about names that nobody knows, with the nearest one that somebody does."""

import difflib
from collections.abc import Iterable
from typing import Final

IN_RECIPES: Final = "key in TRL or Open-R1"
LIKE: Final = 0.6
"""From here on a name is taken for a misspelt one of few (difflib's own measure)."""
SIMILAR: Final = 0.71
"""From here on difflib's likeness is that of a misspelt or shortened key (model_name); below, of keys that share a word
(frequency_penalty and repetition_penalty)."""


def remedy_for(name: str, known: Iterable[str], otherwise: str, likeness: float = LIKE) -> str:
    """The nearest of the names that there are, or `otherwise`, which ends the sentence."""
    nearest = difflib.get_close_matches(name, list(known), n=1, cutoff=likeness)
    return f"did you mean {nearest[0]}?" if nearest else otherwise


def unknown_key(path: str, key: str, known: Iterable[str], what: str = IN_RECIPES) -> str:
    """`path` leads to the object that holds the key."""
    return f"{path}.{key}: no such {what}; {remedy_for(key, known, 'remove it.', SIMILAR)}"


def unknown_argument(key: str, name: str, of: str, takes: Iterable[str], otherwise: str) -> str:
    """`name` stands in the mapping that is the recipe's `key`; `otherwise` is what to do where no other is near."""
    nearest = difflib.get_close_matches(name, list(takes), n=1)
    remedy = f"did you mean {nearest[0]}? Else leave it out." if nearest else f"{otherwise}."
    return f"spec.recipe.{key} holds {name}, which {of} does not take; {remedy}"


def one_of(names: Iterable[str]) -> str:
    """What to do about an argument where there are few to choose from."""
    return f"use {', '.join(names)}, or leave it out"
