"""What Prometheus answers to the queries of panels, in a form that can be handed to the page; and panels without an answer."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from codegen.dashboard_queries import PanelQuery
from pictures.errors import PictureError
from pictures.layout import Panel

Answer = dict[str, Any]
QueryRange = Callable[[str, float, float, float], list[dict[str, Any]]]
"""As harness.prometheus has it: an expression, start, end and step, in seconds."""


@dataclass(frozen=True)
class Span:
    """The time that a picture shows, in seconds since 1970."""

    start: float
    end: float
    step_s: float

    def values(self) -> dict[str, str]:
        return {"__range": f"{self.end - self.start:.0f}s"}


def ask(query_range: QueryRange, panel: Panel, values: Mapping[str, str], span: Span) -> list[Answer]:
    """Of each query of the panel, with `values` for its variables; of an instant one what it finds at the end."""
    answers = []
    for target in panel.get("targets", []):
        expr = PanelQuery(panel["title"], target["refId"], target["expr"]).with_values({**values, **span.values()})
        start = span.end if target.get("instant") else span.start
        series = query_range(expr, start, span.end, span.step_s)
        answers.append(
            {
                "refId": target["refId"],
                "legendFormat": target.get("legendFormat", ""),
                "isTable": target.get("format") == "table",
                "series": [without_gaps(each) for each in series],
            }
        )
    return answers


def without_gaps(series: Mapping[str, Any]) -> dict[str, Any]:
    """NaN and infinity are no points of a curve, and no numbers of JSON."""
    return {**series, "values": [[at, value] for at, value in series["values"] if isfinite(float(value))]}


def is_empty(answers: Sequence[Answer]) -> bool:
    return not any(series["values"] for answer in answers for series in answer["series"])


def check_data(title: str, answered: Iterable[tuple[Panel, Sequence[Answer]]]) -> None:
    """
    Raises:
        PictureError: panels of this dashboard would be empty in the picture.
    """
    if empty := [panel["title"] for panel, answers in answered if panel["type"] != "row" and is_empty(answers)]:
        raise PictureError(
            f'No data for {", ".join(empty)} of the dashboard "{title}": a picture would show an empty panel. '
            "See what Prometheus scrapes, and whether the panel's metrics still have these names."
        )
