"""Building blocks of dashboards: queries of one run's metrics, or of many runs', and panels in one house style.

Knows Grafana and PromQL; which metrics are shown, and why, is said in `dashboard_*_rows`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from grafana_foundation_sdk.builders import common as common_builder
from grafana_foundation_sdk.builders import dashboard as dashboard_builder
from grafana_foundation_sdk.builders import prometheus, stat, table, timeseries
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    DataTransformerConfig,
    DynamicConfigValue,
    FieldColorModeId,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

DATASOURCE: Final = DataSourceRef(type_val="prometheus", uid="${datasource}")
SELECTOR: Final = 'namespace="$namespace", run="$run"'
SELECTOR_OF_OPERATOR: Final = 'run_namespace="$namespace", run="$run"'
"""Of metrics that the operator tells of a run: `namespace` is where the operator is."""
SELECTOR_OF_RUNS: Final = 'run_namespace=~"$namespace"'
"""Of the runs of all namespaces that are chosen."""
WINDOW: Final = "$window"
RANGE: Final = "$__range"

Panel = stat.Panel | timeseries.Panel | table.Panel
Line = Sequence[Panel]
"""Panels side by side, of equal width."""
Unit = Literal["short", "none", "s", "percentunit", "bytes", "Bps", "sci", "dateTimeAsIso", "reqps"]


@dataclass(frozen=True)
class Query:
    expr: str
    legend: str
    ref: str = "A"


def value(metric: str, *by: str, **labels: str) -> str:
    """A gauge of the run. `max` drops the pod's name: the attempts of a run make one line."""
    return f"max{_grouping(by)} ({_selected(metric, labels)})"


def told_by_operator(metric: str, *by: str, **labels: str) -> str:
    """A gauge of the run. `max` drops the operator's pod."""
    return f"max{_grouping(by)} ({_selected(metric, labels, SELECTOR_OF_OPERATOR)})"


def of_runs(metric: str, *by: str, **labels: str) -> str:
    """A gauge of every chosen run, by run; `max` drops the operator's pod."""
    return f"max{_grouping(('run_namespace', 'run', *by))} ({_selected(metric, labels, SELECTOR_OF_RUNS)})"


def hours(gauge: str) -> str:
    """What a gauge adds up to in the chosen time, as in GPU-hours."""
    return f"sum_over_time(({gauge})[{RANGE}:1m]) / 60"


def rate(counter: str, *by: str, **labels: str) -> str:
    """Growth of a counter per second."""
    return f"sum{_grouping(by)} (rate({_selected(counter, labels)}[{WINDOW}]))"


def increase(counter: str, *by: str) -> str:
    """Growth of a counter in the window."""
    return f"sum{_grouping(by)} (increase({_selected(counter, {})}[{WINDOW}]))"


def mean(histogram: str) -> str:
    """Mean of what a histogram observed in the window."""
    return f"{rate(f'{histogram}_sum')} / {rate(f'{histogram}_count')}"


def quantile(share: float, histogram: str) -> str:
    return f"histogram_quantile({share}, {rate(f'{histogram}_bucket', 'le')})"


def of_pods(metric: str) -> str:
    """A gauge of every pod."""
    return f"sum by (pod) ({_selected(metric, {})})"


def _selected(metric: str, labels: dict[str, str], selector: str = SELECTOR) -> str:
    matchers = [selector, *(f'{name}="{text}"' for name, text in labels.items())]
    return f"{metric}{{{', '.join(matchers)}}}"


def _grouping(labels: Sequence[str]) -> str:
    return f" by ({', '.join(labels)})" if labels else ""


def lines(
    title: str,
    unit: Unit,
    queries: Sequence[Query],
    description: str,
    *,
    stacked: bool = False,
    logarithmic: bool = False,
    highest: float | None = None,
) -> timeseries.Panel:
    """Values over time. `highest` fixes the axis between 0 and it, where a value has natural bounds."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .unit(unit)
        .targets([_target(query) for query in queries])
        .line_width(1)
        .fill_opacity(60 if stacked else 0)
        .show_points(common.VisibilityMode.NEVER)
        .span_nulls(True)
        .tooltip(common_builder.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI))
        .legend(
            common_builder.VizLegendOptions()
            .display_mode(common.LegendDisplayMode.LIST)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
    )
    if stacked:
        panel.stacking(common_builder.StackingConfig().mode(common.StackingMode.NORMAL).group("A"))
        panel.axis_soft_min(0)  # heights of areas mean nothing otherwise
    if logarithmic:
        panel.scale_distribution(common_builder.ScaleDistributionConfig().type(common.ScaleDistribution.LOG).log(10))
    if highest is not None:
        panel.min(0).max(highest)
    return panel


def band(panel: timeseries.Panel, low: str, high: str) -> timeseries.Panel:
    """Fill between two of the panel's series instead of drawing their lines."""
    no_line = DynamicConfigValue("custom.lineWidth", 0)
    hidden = DynamicConfigValue("custom.hideFrom", {"legend": True, "tooltip": False, "viz": False})
    fill = [DynamicConfigValue("custom.fillBelowTo", low), DynamicConfigValue("custom.fillOpacity", 15)]
    return panel.override_by_name(high, [no_line, hidden, *fill]).override_by_name(low, [no_line, hidden])


def number(
    title: str, unit: Unit, expr: str, description: str, *, decimals: int | None = None, if_absent: str = "no data"
) -> stat.Panel:
    """The last known value, also of a run that has ended, with its course behind it."""
    panel = (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .unit(unit)
        .no_value(if_absent)
        .with_target(_target(Query(expr, title)))
        .reduce_options(common_builder.ReduceDataOptions().calcs(["lastNotNull"]))
        .graph_mode(common.BigValueGraphMode.AREA)
        .color_mode(common.BigValueColorMode.VALUE)
        .color_scheme(dashboard_builder.FieldColor().mode(FieldColorModeId.FIXED).fixed_color("blue"))
    )
    return panel if decimals is None else panel.decimals(decimals)


def runs_table(title: str, columns: Sequence[tuple[str, str, Unit]], description: str, link: str) -> table.Panel:
    """A line per run: each column is what a query finds of it now. The run's name leads to `link`."""
    queries = by_ref(*((expr, name) for name, expr, _ in columns))
    renamed = {f"Value #{query.ref}": query.legend for query in queries} | {"run_namespace": "namespace"}
    panel = (
        table.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .unit("none")
        .filterable(True)
        .targets([_target(query).format(PromQueryFormat.TABLE).instant() for query in queries])
        .with_transformation(DataTransformerConfig(id_val="merge", options={}))
        .with_transformation(
            DataTransformerConfig(id_val="organize", options={"excludeByName": {"Time": True}, "renameByName": renamed})
        )
        .override_by_name("run", [DynamicConfigValue("links", [{"title": "GRPO run", "url": link}])])
    )
    for name, _, unit in columns:
        decimals = 0 if unit == "none" else 1  # a count, or not
        panel.override_by_name(name, [DynamicConfigValue("unit", unit), DynamicConfigValue("decimals", decimals)])
    return panel


def _target(query: Query) -> prometheus.Dataquery:
    return (
        prometheus.Dataquery()
        .expr(query.expr)
        .legend_format(query.legend)
        .ref_id(query.ref)
        .datasource(DATASOURCE)
        .range()
    )


def by_ref(*queries: tuple[str, str]) -> list[Query]:
    """Queries of one panel from pairs of expression and legend; Grafana tells them apart by letters."""
    return [Query(expr, legend, chr(ord("A") + index)) for index, (expr, legend) in enumerate(queries)]
