"""Which completions are asked for, and in which order, as SQL over the contract's columns. Values are parameters, never text."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlencode

from grpo_contract.completions import Column

PAGE_ROWS: Final = 50
REPEATS_ITSELF: Final = 4.0
"""Compression ratio: of text of any kind it is 2 to 3."""
THOUGHTLESS_WORDS: Final = 5
"""Fewer of them before the answer are no reasoning."""


class View(StrEnum):
    NEWEST = "newest"
    BEST = "best"
    WORST = "worst"
    TRUNCATED = "truncated"
    DISAGREEMENT = "disagreement"
    SUSPECTED = "suspected"


MEANINGS: Final = {
    View.NEWEST: "all, the newest first",
    View.BEST: "highest reward first",
    View.WORST: "lowest reward first",
    View.TRUNCATED: "cut off at max_completion_length",
    View.DISAGREEMENT: "reward functions that contradict each other most",
    View.SUSPECTED: f"suspected reward hacking: a reward in the upper half of the run's, for text that repeats itself (it compresses "
    f"{REPEATS_ITSELF:g} times and more) or that answers after less than {THOUGHTLESS_WORDS} words",
}

_IN_ORDER: Final = f'{Column.STEP} DESC, "{Column.GROUP}", {Column.MEMBER}'
_ORDERS: Final = {
    View.BEST: f"{Column.REWARD} DESC NULLS LAST, {_IN_ORDER}",
    View.WORST: f"{Column.REWARD} NULLS LAST, {_IN_ORDER}",
    View.DISAGREEMENT: f"{Column.DISAGREEMENT} DESC, {_IN_ORDER}",
}
_CONDITIONS: Final = {
    View.BEST: f"{Column.REWARD} IS NOT NULL",
    View.WORST: f"{Column.REWARD} IS NOT NULL",
    View.TRUNCATED: f"{Column.IS_TRUNCATED}",
    View.DISAGREEMENT: f"{Column.DISAGREEMENT} IS NOT NULL",
    View.SUSPECTED: f"({Column.COMPRESSION_RATIO} >= {REPEATS_ITSELF} OR {Column.REASONING_WORDS} < {THOUGHTLESS_WORDS}) AND "
    f"{Column.REWARD} > (SELECT (min({Column.REWARD}) + max({Column.REWARD})) / 2 FROM completions)",
}


@dataclass(frozen=True)
class Query:
    view: View = View.NEWEST
    search: str = ""
    """In prompts and completions, whatever the case."""
    first: int | None = None
    last: int | None = None
    """Steps, both included."""
    page: int = 1

    @property
    def offset(self) -> int:
        return (self.page - 1) * PAGE_ROWS

    @property
    def order(self) -> str:
        return _ORDERS.get(self.view, _IN_ORDER)

    def condition(self) -> tuple[str, list[Any]]:
        """With its parameters."""
        texts = [f"contains(lower({column}), lower(?))" for column in (Column.COMPLETION, Column.PROMPT)]
        asked: list[tuple[str, list[Any]]] = [
            *([(_CONDITIONS[self.view], [])] if self.view in _CONDITIONS else []),
            *([(f"{Column.STEP} >= ?", [self.first])] if self.first is not None else []),
            *([(f"{Column.STEP} <= ?", [self.last])] if self.last is not None else []),
            *([(f"({' OR '.join(texts)})", [self.search] * 2)] if self.search else []),
        ]
        words = " AND ".join(condition for condition, _ in asked)
        return words or "true", [value for _, values in asked for value in values]

    def at_page(self, page: int) -> str:
        """As the query part of an address."""
        asked = replace(self, page=page)
        told = {
            "view": asked.view if asked.view is not View.NEWEST else None,
            "search": asked.search or None,
            "first": asked.first,
            "last": asked.last,
            "page": page if page > 1 else None,
        }
        return "?" + urlencode({name: value for name, value in told.items() if value is not None})


def read_query(given: Mapping[str, str]) -> Query:
    """What is no such thing, as somebody may type it into an address, is as if it were left out."""
    view = given.get("view", "")
    return Query(
        view=View(view) if view in set(View) else View.NEWEST,
        search=given.get("search", ""),
        first=number_of(given.get("first")),
        last=number_of(given.get("last")),
        page=max(1, number_of(given.get("page")) or 1),
    )


def number_of(text: str | None) -> int | None:
    """None for what is none, or a larger one than there is any step of."""
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 10 else None
