"""The pictures of the dashboards: which rows of which dashboard, and when."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness.dashboards import OF_FAULTS, read_dashboard
from harness.prometheus import Prometheus
from pictures.answers import Span, ask, check_data
from pictures.drawing import DrawingPage
from pictures.layout import OVERVIEW, moved_together, panels_of

WIDTH: Final = 1600
WINDOW: Final = "1m"
"""Of rates and means: longer than a few steps of the demo."""


@dataclass(frozen=True)
class Choice:
    file: str
    dashboard: str
    rows: tuple[str, ...]


# Left out are rows of what the demo has not (Evaluation, GPUs, pushes), and panels of what went wrong, which is nothing: "No
# data" in a picture would look like a fault of the dashboard.
OF_THE_RUN: Final = (
    Choice("grpo-run-learning.png", "grpo-run", (OVERVIEW, "Learning")),
    Choice("grpo-run-completions.png", "grpo-run", ("Completions",)),
    Choice("grpo-run-speed.png", "grpo-run", ("Speed",)),
    Choice("grpo-run-generators.png", "grpo-run", ("Fleet",)),
)
OF_ALL_RUNS: Final = (Choice("grpo-fleet.png", "grpo-fleet", (OVERVIEW, "Runs")),)


def draw_dashboard(
    choice: Choice, values: Mapping[str, str], span: Span, prometheus: Prometheus, page: DrawingPage, folder: Path
) -> None:
    """
    Raises:
        PictureError: a panel has no data.
    """
    dashboard, values = read_dashboard(choice.dashboard), {**values, "window": WINDOW}
    panels = moved_together(panels_of(dashboard, choice.rows), OF_FAULTS)
    answered = [(panel, ask(prometheus.query_range, panel, values, span)) for panel in panels]
    check_data(dashboard["title"], answered)
    picture = {
        "title": dashboard["title"],
        "variables": variables_of(dashboard, values),
        "from": span.start,
        "to": span.end,
        "width": WIDTH,
        "panels": [{**panel, "answers": answers} for panel, answers in answered],
    }
    page.draw(picture, folder / choice.file)


def variables_of(dashboard: Mapping[str, Any], values: Mapping[str, str]) -> list[tuple[str, str]]:
    """Label and value of those that are chosen here, as they stand at the top of the dashboard."""
    told = {".*": "All"}
    variables = dashboard["templating"]["list"]
    return [
        (each["label"], told.get(values[each["name"]], values[each["name"]]))
        for each in variables
        if each["name"] in values
    ]
