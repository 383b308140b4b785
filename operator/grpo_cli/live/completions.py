"""Groups of completions as text for a terminal."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from textwrap import indent
from typing import Any, Final

from grpo_cli.live.words import number
from grpo_contract.completions import Column
from grpo_contract.log_entry import printable

Row = Mapping[str, Any]

MOST_LINES: Final = 8
"""Of a text, and MOST_LETTERS, unless all of it is wanted."""
MOST_LETTERS: Final = 800
LEFT_OUT: Final = "[...]"


def group_lines(rows: Sequence[Row], *, whole: bool) -> Iterator[str]:
    """Of one group."""
    first = rows[0]
    rewards = [row[Column.REWARD] for row in rows if row[Column.REWARD] is not None]
    mean = number(fmean(rewards)) if rewards else "-"
    yield (
        f"step {first[Column.STEP]}, group {first[Column.GROUP]}: mean reward {mean} of {len(rows)} completions, "
        f"prompt of {first[Column.PROMPT_TOKENS]} tokens"
    )
    yield indent(_shown(first[Column.PROMPT], whole), "  | ", lambda _: True)
    for row in rows:
        yield ""
        yield "  " + _facts(row)
        yield indent(_shown(row[Column.COMPLETION], whole), "    ")


def _facts(row: Row) -> str:
    functions = [f"{name} {number(score)}" for name, score in row[Column.REWARDS].items()]
    parts = [
        f"{row[Column.MEMBER]}: reward {number(row[Column.REWARD])}",
        *(functions if len(functions) > 1 else []),
        f"advantage {number(row[Column.ADVANTAGE])}",
        f"{row[Column.TOKENS]} tokens{', cut off' if row[Column.IS_TRUNCATED] else ''}",
        f"weights {row[Column.WEIGHT_VERSION]}",
    ]
    return "  ".join(parts)


def _shown(text: str, whole: bool) -> str:
    lines = list(map(printable, text.splitlines()))
    if whole or (len(text) <= MOST_LETTERS and len(lines) <= MOST_LINES):
        return "\n".join(lines)
    return "\n".join(lines[:MOST_LINES])[:MOST_LETTERS] + f" {LEFT_OUT}"
