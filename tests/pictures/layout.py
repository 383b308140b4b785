"""Which panels a picture has, and where they are. Pure functions over the dashboard's file."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import groupby, pairwise
from typing import Any, Final

from codegen.dashboard import edges

Panel = Mapping[str, Any]

OVERVIEW: Final = "Overview"
"""Panels above the first row, which have no title of their own."""


def panels_of(dashboard: Mapping[str, Any], rows: Collection[str]) -> list[Panel]:
    """Of these rows, with their titles.

    Raises:
        LookupError: the dashboard has no such row.
    """
    chosen = [(row, panel) for row, panel in _by_row(dashboard) if row in rows]
    if missing := set(rows) - {row for row, _ in chosen}:
        raise LookupError(f"{dashboard['title']} has no row {', '.join(sorted(missing))}")
    return [panel for _, panel in chosen]


def _by_row(dashboard: Mapping[str, Any]) -> Iterator[tuple[str, Panel]]:
    row = OVERVIEW
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            row = panel["title"]
        yield row, panel


def moved_together(panels: Sequence[Panel], left_out: Collection[str]) -> list[Panel]:
    """Without gaps: lines under each other, and where titles are left out, the rest of the line shares its width."""
    moved: list[Panel] = []
    y = 0
    for _, group in groupby(panels, lambda panel: panel["gridPos"]["y"]):
        line = list(group)
        kept = [panel for panel in line if panel["title"] not in left_out]
        if len(kept) < len(line):
            kept = _side_by_side(kept)
        moved += ({**panel, "gridPos": {**panel["gridPos"], "y": y}} for panel in kept)
        y += max((panel["gridPos"]["h"] for panel in kept), default=0)
    return moved


def _side_by_side(panels: Sequence[Panel]) -> list[Panel]:
    places = pairwise(edges(len(panels))) if panels else ()
    return [
        {**panel, "gridPos": {**panel["gridPos"], "x": left, "w": right - left}}
        for panel, (left, right) in zip(panels, places, strict=True)
    ]
