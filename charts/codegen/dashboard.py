"""The Grafana dashboard "GRPO run" as JSON: variables, rows, the grid. A pure function; `__main__` writes the file."""

import json
from collections.abc import Callable, Sequence

from grafana_foundation_sdk.builders import dashboard as builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    GridPos,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from codegen import dashboard_learning_rows as learning_rows
from codegen import dashboard_running_rows as running_rows
from codegen.dashboard_panels import DATASOURCE, Line

GRID_WIDTH = 24
STAT_HEIGHT, PANEL_HEIGHT, ROW_HEIGHT = 4, 8, 1

ROWS: Sequence[tuple[str | None, int, Callable[[], list[Line]]]] = (
    (None, STAT_HEIGHT, learning_rows.overview),
    ("Learning", PANEL_HEIGHT, learning_rows.learning),
    ("Completions", PANEL_HEIGHT, learning_rows.completions),
    ("Evaluation", PANEL_HEIGHT, learning_rows.evaluation),
    ("Speed", PANEL_HEIGHT, running_rows.speed),
    ("Fleet", PANEL_HEIGHT, running_rows.fleet),
    ("Checkpoints", PANEL_HEIGHT, running_rows.checkpoints),
)
WINDOWS, DEFAULT_WINDOW = ("1m", "2m", "5m", "15m", "1h", "6h"), "5m"


def run_dashboard() -> str:
    """The file that Grafana's sidecar loads; the same text each time."""
    dashboard = (
        builder.Dashboard("GRPO run")
        .uid("grpo-run")
        .description("One GRPORun: what it learns, how fast, with which generators.")
        .tags(["grpo", "reinforcement-learning"])
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .time("now-1h", "now")
        .refresh("10s")
        .variables([datasource_variable(), namespace_variable(), run_variable(), window_variable()])
    )
    place_panels(dashboard)
    return json.dumps(dashboard.build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def place_panels(dashboard: builder.Dashboard) -> None:
    """The SDK's own placing lets panels stick out of the grid: every position is set here."""
    y, identity = 0, 0
    for title, height, panels_of in ROWS:
        if title is not None:
            identity += 1
            position = GridPos(x=0, y=y, w=GRID_WIDTH, h=ROW_HEIGHT)
            dashboard.with_row(builder.Row(title).id(identity).grid_pos(position))
            y += ROW_HEIGHT
        for line in panels_of():
            width = GRID_WIDTH // len(line)
            for column, panel in enumerate(line):
                identity += 1
                dashboard.with_panel(panel.id(identity).grid_pos(GridPos(x=column * width, y=y, w=width, h=height)))
            y += height


def datasource_variable() -> builder.DatasourceVariable:
    return builder.DatasourceVariable("datasource").label("Data source").type("prometheus")


def namespace_variable() -> builder.QueryVariable:
    return label_values("namespace", "Namespace", "label_values(grpo_step, namespace)")


def run_variable() -> builder.QueryVariable:
    return label_values("run", "Run", 'label_values(grpo_step{namespace="$namespace"}, run)')


def label_values(name: str, label: str, query: str) -> builder.QueryVariable:
    return (
        builder.QueryVariable(name)
        .label(label)
        .datasource(DATASOURCE)
        .query({"query": query, "refId": name})
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
    )


def window_variable() -> builder.CustomVariable:
    """Rates are means over a window that must be longer than a step, which may last seconds or an hour."""
    return (
        builder.CustomVariable("window")
        .label("Window")
        .description("Rates and means are taken over this time. Choose it longer than a few steps.")
        .values(",".join(WINDOWS))
        .current(VariableOption(selected=True, text=DEFAULT_WINDOW, value=DEFAULT_WINDOW))
    )
