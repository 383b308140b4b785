"""The Grafana dashboards "GRPO run" and "GRPO fleet" as JSON: variables, rows, the grid, what marks moments. Pure functions;
`__main__` writes the files."""

import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from urllib.parse import quote

from grafana_foundation_sdk.builders import dashboard as builder
from grafana_foundation_sdk.builders import prometheus
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLink,
    DashboardLinkType,
    GridPos,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from codegen import dashboard_fleet_rows as fleet_rows
from codegen import dashboard_learning_rows as learning_rows
from codegen import dashboard_running_rows as running_rows
from codegen.dashboard_panels import DATASOURCE, SELECTOR, SELECTOR_OF_OPERATOR, Line

GRID_WIDTH = 24
STAT_HEIGHT, PANEL_HEIGHT, ROW_HEIGHT = 4, 8, 1

Rows = Sequence[tuple[str | None, int, Callable[[], list[Line]]]]

RUN_UID, FLEET_UID = "grpo-run", "grpo-fleet"
RUN_ROWS: Rows = (
    (None, STAT_HEIGHT, learning_rows.overview),
    ("Learning", PANEL_HEIGHT, learning_rows.learning),
    ("Completions", PANEL_HEIGHT, learning_rows.completions),
    ("Evaluation", PANEL_HEIGHT, learning_rows.evaluation),
    ("Speed", PANEL_HEIGHT, running_rows.speed),
    ("GPUs", PANEL_HEIGHT, running_rows.gpus),
    ("Fleet", PANEL_HEIGHT, running_rows.fleet),
    ("Checkpoints", PANEL_HEIGHT, running_rows.checkpoints),
)
FLEET_ROWS: Rows = (
    (None, STAT_HEIGHT, fleet_rows.overview),
    ("Runs", PANEL_HEIGHT, fleet_rows.runs),
    ("Failures", PANEL_HEIGHT, fleet_rows.failures),
    ("Operator", PANEL_HEIGHT, fleet_rows.operator),
)
ANNOTATIONS = (
    ("Restarts", f"changes(grpo_run_attempt{{{SELECTOR_OF_OPERATOR}}}[2m]) > 0", "red"),
    ("Generators lost", f"changes(grpo_generator_failovers_total{{{SELECTOR}}}[2m]) > 0", "orange"),
    ("Checkpoints", f"changes(grpo_checkpoint_step{{{SELECTOR}}}[2m]) > 0", "green"),
)
LOKI = "loki"
LOGS_OF_RUN = '{namespace="${namespace}", pod=~"${run}-(learner|generator)-.*"} | json'
"""By the labels that Loki's collectors for Kubernetes give."""
WINDOWS, DEFAULT_WINDOW = ("1m", "2m", "5m", "15m", "1h", "6h"), "5m"


def run_dashboard() -> str:
    """The file that Grafana's sidecar loads; the same text each time."""
    dashboard = _dashboard("GRPO run", RUN_UID, "One GRPORun: what it learns, how fast, with which generators.")
    dashboard.variables(
        [datasource_variable(), namespace_variable(), run_variable(), window_variable(), logs_variable()]
    )
    dashboard.link(_link_to("GRPO fleet", FLEET_UID))
    dashboard.link(_link_to_logs())
    for name, expr, colour in ANNOTATIONS:
        dashboard.annotation(_annotation(name, expr, colour))
    return _file(dashboard, RUN_ROWS)


def fleet_dashboard() -> str:
    """The same, of all runs."""
    dashboard = _dashboard(
        "GRPO fleet", FLEET_UID, "All GRPORuns: what they do, hold and wait for, and their operator."
    )
    dashboard.variables([datasource_variable(), namespaces_variable(), window_variable()])
    return _file(dashboard, FLEET_ROWS)


def _dashboard(title: str, uid: str, description: str) -> builder.Dashboard:
    return (
        builder.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(["grpo", "reinforcement-learning"])
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .time("now-1h", "now")
        .refresh("10s")
    )


def _file(dashboard: builder.Dashboard, rows: Rows) -> str:
    place_panels(dashboard, rows)
    return json.dumps(dashboard.build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


class _Link(builder.DashboardLink):
    def build(self) -> DashboardLink:
        """Above the panels; the SDK would have it in a menu."""
        self.type(DashboardLinkType.LINK)
        link = super().build()
        link.placement = None  # type: ignore[assignment]
        return link


def _link_to(title: str, uid: str) -> builder.DashboardLink:
    return _Link(title).url(f"/d/{uid}").keep_time(True)


def _link_to_logs() -> builder.DashboardLink:
    """Grafana's page for a question, with the run's logs of the time that the dashboard shows."""
    query = {"refId": "A", "expr": LOGS_OF_RUN, "datasource": {"type": LOKI, "uid": "${logs}"}}
    pane = {"datasource": "${logs}", "queries": [query], "range": {"from": "${__from}", "to": "${__to}"}}
    panes = quote(json.dumps({"logs": pane}), safe="${}")  # or Grafana would not find its variables
    return _Link("Logs").url(f"/explore?schemaVersion=1&panes={panes}")


def _annotation(name: str, expr: str, colour: str) -> builder.AnnotationQuery:
    query = prometheus.Dataquery().expr(expr).ref_id("A").datasource(DATASOURCE).range()
    return builder.AnnotationQuery().name(name).datasource(DATASOURCE).enable(True).icon_color(colour).target(query)


def place_panels(dashboard: builder.Dashboard, rows: Rows) -> None:
    """The SDK's own placing lets panels stick out of the grid: every position is set here."""
    y, identity = 0, 0
    for title, height, panels_of in rows:
        if title is not None:
            identity += 1
            position = GridPos(x=0, y=y, w=GRID_WIDTH, h=ROW_HEIGHT)
            dashboard.with_row(builder.Row(title).id(identity).grid_pos(position))
            y += ROW_HEIGHT
        for line in panels_of():
            for panel, (left, right) in zip(line, pairwise(edges(len(line))), strict=True):
                identity += 1
                dashboard.with_panel(panel.id(identity).grid_pos(GridPos(x=left, y=y, w=right - left, h=height)))
            y += height


def edges(num_panels: int) -> list[int]:
    """Columns between which panels side by side lie: as equal as the grid lets them, and without a rest of it."""
    return [GRID_WIDTH * panel // num_panels for panel in range(num_panels + 1)]


def datasource_variable() -> builder.DatasourceVariable:
    return builder.DatasourceVariable("datasource").label("Data source").type("prometheus")


def logs_variable() -> builder.DatasourceVariable:
    """Without a Loki it has no value, and nothing but the link asks for one."""
    return builder.DatasourceVariable("logs").label("Logs").type(LOKI)


def namespace_variable() -> builder.QueryVariable:
    return label_values("namespace", "Namespace", "label_values(grpo_step, namespace)")


def namespaces_variable() -> builder.QueryVariable:
    """All of them, or some."""
    everything = VariableOption(selected=True, text="All", value="$__all")
    return (
        label_values("namespace", "Namespace", "label_values(grpo_run_phase, run_namespace)")
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(everything)
    )


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
