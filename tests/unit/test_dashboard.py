"""The dashboards: their queries ask for metrics that exist, and their panels lie where Grafana can draw them."""

import itertools
import json
import re
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import pytest

from codegen.alerts import alert_rules
from codegen.dashboard import fleet_dashboard, run_dashboard
from codegen.dashboard_queries import PanelQuery, queries_of, variable_queries_of
from grpo_contract.metrics import LEARNER_METRICS, OPERATOR_METRICS, Kind

DASHBOARD: dict[str, Any] = json.loads(run_dashboard())
FLEET: dict[str, Any] = json.loads(fleet_dashboard())
DASHBOARDS = [DASHBOARD, FLEET]
QUERIES, FLEET_QUERIES = list(queries_of(DASHBOARD)), list(queries_of(FLEET))
PANELS = [panel for dashboard in DASHBOARDS for panel in dashboard["panels"] if panel["type"] != "row"]

# vLLM 0.31's own names, as they stand on a generator's /metrics.
VLLM_METRICS = {
    "vllm:num_requests_running",
    "vllm:num_requests_waiting",
    "vllm:kv_cache_usage_perc",
    "vllm:generation_tokens_total",
    "vllm:prefix_cache_hits_total",
    "vllm:prefix_cache_queries_total",
}
VARIABLES = {"datasource", "namespace", "run", "window", "logs"}


def series_of_contract() -> dict[str, set[str]]:
    """Name of each time series of the learners -> its labels."""
    series: dict[str, set[str]] = {}
    for metric in LEARNER_METRICS:
        labels = set(metric.labels)
        if metric.kind is Kind.HISTOGRAM:
            series |= {metric.name + suffix: labels for suffix in ("_sum", "_count")}
            series[f"{metric.name}_bucket"] = labels | {"le"}
        else:
            series[metric.name] = labels
    return series


SERIES = series_of_contract()
OPERATORS_SERIES = {metric.name: set(metric.labels) for metric in OPERATOR_METRICS if "run" in metric.labels}
"""What the operator tells of each run."""
OF_OPERATOR = {metric.name for metric in OPERATOR_METRICS} | {"process_resident_memory_bytes"}
TARGET_LABELS = {"namespace", "pod", "run", "role"}


@pytest.mark.parametrize("dashboard", [run_dashboard, fleet_dashboard])
def test_same_text_each_time(dashboard: Callable[[], str]) -> None:
    assert dashboard() == dashboard()
    assert dashboard().endswith("}\n")


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: f"{query.panel} {query.ref}")
def test_query(query: PanelQuery) -> None:
    assert query.metrics, "a query without a metric shows nothing"
    assert query.metrics <= SERIES.keys() | OPERATORS_SERIES.keys() | VLLM_METRICS
    # Every selector names the run: two runs in one Prometheus must not mix.
    for metric in query.metrics:
        label = "run_namespace" if metric in OPERATORS_SERIES else "namespace"
        selected = query.expr.count(f'{metric}{{{label}="$namespace", run="$run"')
        assert selected == len(re.findall(rf"\b{metric}\b", query.expr))
    assert query.variables <= VARIABLES - {"logs"} | {"__range"}
    series = SERIES | OPERATORS_SERIES
    known = TARGET_LABELS.union(*(series.get(metric, set()) for metric in query.metrics))
    assert used_labels(query.expr) <= known


@pytest.mark.parametrize("query", FLEET_QUERIES, ids=lambda query: f"{query.panel} {query.ref}")
def test_query_of_the_fleet(query: PanelQuery) -> None:
    names = {re.sub("_(bucket|sum|count)$", "", metric) for metric in query.metrics}
    assert names
    assert names <= OF_OPERATOR
    assert query.expr.count('run_namespace=~"$namespace"') >= len(names & OPERATORS_SERIES.keys())
    assert query.variables <= {"namespace", "window", "__range"}


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: f"{query.panel} {query.ref}")
def test_counters_are_shown_as_rates_and_gauges_are_not(query: PanelQuery) -> None:
    growing = growing_series()
    for metric in query.metrics:
        in_rate = re.findall(rf"(rate|increase|changes)\({metric}\{{[^}}]*\}}\[(\$window|2m)\]\)", query.expr)
        in_rate = in_rate if metric in growing else [function for function, _ in in_rate if function != "changes"]
        assert len(in_rate) == (len(re.findall(rf"\b{metric}\{{", query.expr)) if metric in growing else 0)


def test_every_metric_is_shown_or_alerted_of() -> None:
    shown = set().union(*(query.metrics for query in (*QUERIES, *FLEET_QUERIES)))
    missing = [
        metric.name
        for metric in (*LEARNER_METRICS, *OPERATOR_METRICS)
        if not any(name == metric.name or name.startswith(f"{metric.name}_") for name in shown)
    ]
    assert [name for name in missing if name not in alert_rules()] == []
    assert shown >= VLLM_METRICS


def test_legends_name_labels_that_the_query_keeps() -> None:
    for panel in PANELS:
        for target in panel["targets"]:
            for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
                assert re.search(rf"by \([^)]*\b{label}\b[^)]*\)", target["expr"]), (panel["title"], label)


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_panel(panel: dict[str, Any]) -> None:
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    refs = [target["refId"] for target in panel["targets"]]
    assert refs == [chr(ord("A") + index) for index in range(len(refs))]
    legends = [target["legendFormat"] for target in panel["targets"]]
    assert len(set(legends)) == len(legends)
    assert all(legends)


def test_panels_say_what_is_healthy() -> None:
    """Where there is such a thing; numbers that only inform (progress, schedule) need not."""
    saying = [panel for panel in PANELS if "Healthy:" in panel["description"]]
    assert len(saying) >= 15


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard["title"])
def test_panels_lie_inside_the_grid_without_overlap(dashboard: dict[str, Any]) -> None:
    taken: Counter[tuple[int, int]] = Counter()
    for panel in dashboard["panels"]:
        position = panel["gridPos"]
        x, y = position.get("x", 0), position.get("y", 0)
        assert x >= 0
        assert x + position["w"] <= 24, panel["title"]
        taken.update(itertools.product(range(x, x + position["w"]), range(y, y + position["h"])))
    assert max(taken.values()) == 1
    bottom = max(panel["gridPos"].get("y", 0) + panel["gridPos"]["h"] for panel in dashboard["panels"])
    assert len(taken) == 24 * bottom, "a line has a gap"


def test_legends_have_room() -> None:
    """They name pods and reward functions, and a fifth of a screen cuts them."""
    assert min(panel["gridPos"]["w"] for panel in PANELS if panel["type"] == "timeseries") >= 6


def test_areas_that_are_stacked_begin_at_zero() -> None:
    custom = [panel["fieldConfig"]["defaults"].get("custom", {}) for panel in PANELS]
    assert {settings["axisSoftMin"] for settings in custom if "stacking" in settings} == {0}


def test_the_table_of_runs_counts_in_whole_numbers() -> None:
    (table,) = [panel for panel in FLEET["panels"] if panel["type"] == "table"]
    settings = [
        {entry["id"]: entry["value"] for entry in override["properties"]}
        for override in table["fieldConfig"]["overrides"]
    ]
    decimals = {(setting["unit"], setting["decimals"]) for setting in settings if "unit" in setting}
    assert decimals == {("none", 0), ("percentunit", 1), ("s", 1)}


ROWS = {
    "GRPO run": ["Learning", "Completions", "Evaluation", "Speed", "GPUs", "Fleet", "Checkpoints"],
    "GRPO fleet": ["Runs", "Failures", "Operator"],
}


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard["title"])
def test_panels_follow_their_rows(dashboard: dict[str, Any]) -> None:
    rows = [panel["title"] for panel in dashboard["panels"] if panel["type"] == "row"]
    assert rows == ROWS[dashboard["title"]]
    tops = [panel["gridPos"].get("y", 0) for panel in dashboard["panels"]]
    assert tops == sorted(tops)
    identities = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(identities)) == len(identities)


def test_band_of_the_reward_is_between_its_own_series() -> None:
    [reward] = [panel for panel in PANELS if panel["title"] == "Reward" and panel["type"] == "timeseries"]
    legends = {target["legendFormat"] for target in reward["targets"]}
    overrides = {
        override["matcher"]["options"]: {entry["id"]: entry["value"] for entry in override["properties"]}
        for override in reward["fieldConfig"]["overrides"]
    }
    assert legends == {"mean", *overrides}
    assert overrides["mean + std"]["custom.fillBelowTo"] == "mean - std"


def test_variables() -> None:
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    assert set(variables) == VARIABLES
    assert variable_queries_of(DASHBOARD) == {
        "namespace": "label_values(grpo_step, namespace)",
        "run": 'label_values(grpo_step{namespace="$namespace"}, run)',
    }
    assert variables["window"]["current"]["value"] in variables["window"]["query"].split(",")
    assert variable_queries_of(FLEET) == {"namespace": "label_values(grpo_run_phase, run_namespace)"}


def test_a_run_of_the_fleet_leads_to_its_own_dashboard() -> None:
    (table,) = [panel for panel in FLEET["panels"] if panel["type"] == "table"]
    of_run = {override["matcher"]["options"]: override["properties"] for override in table["fieldConfig"]["overrides"]}
    ((link,),) = [entry["value"] for entry in of_run["run"] if entry["id"] == "links"]
    assert link["url"].startswith(f"/d/{DASHBOARD['uid']}?")
    names = set(re.findall(r"var-(\w+)=", link["url"]))
    assert names == {"datasource", "namespace", "run"}
    assert DASHBOARD["links"][0]["url"] == f"/d/{FLEET['uid']}"


def test_a_run_leads_to_its_logs() -> None:
    link = DASHBOARD["links"][1]
    values = {"namespace": "lab", "run": "demo", "logs": "the-loki", "__from": "1000", "__to": "2000"}
    url = re.sub(r"\$\{(\w+)\}", lambda variable: values[variable[1]], link["url"])  # as Grafana does
    page, _, query = url.partition("?")
    (pane,) = json.loads(parse_qs(query)["panes"][0]).values()
    (asked,) = pane["queries"]
    assert (page, pane["datasource"], asked["datasource"]["uid"]) == ("/explore", "the-loki", "the-loki")
    assert pane["range"] == {"from": "1000", "to": "2000"}
    assert asked["expr"] == '{namespace="lab", pod=~"demo-(learner|generator)-.*"} | json'


def test_links_are_seen() -> None:
    """Grafana puts those with a placement into a menu."""
    assert [link["title"] for link in DASHBOARD["links"] if "placement" not in link] == ["GRPO fleet", "Logs"]


def test_values_of_variables_are_put_in() -> None:
    query = PanelQuery("Reward", "A", 'max (grpo_reward{namespace="$namespace", run="${run}"}[$window])')
    assert query.variables == {"namespace", "run", "window"}
    assert query.metrics == {"grpo_reward"}
    values = {"namespace": "lab", "run": "demo", "window": "5m"}
    assert query.with_values(values) == 'max (grpo_reward{namespace="lab", run="demo"}[5m])'
    with pytest.raises(KeyError, match="window"):
        query.with_values({"namespace": "lab", "run": "demo"})


def used_labels(expression: str) -> set[str]:
    """Labels that a query selects by or groups by."""
    matched = set(re.findall(r"[{,] *(\w+)=", expression))
    grouped = {label.strip() for group in re.findall(r"by \(([^)]*)\)", expression) for label in group.split(",")}
    return matched | grouped


def growing_series() -> set[str]:
    counters = {metric.name for metric in LEARNER_METRICS if metric.kind is Kind.COUNTER}
    of_histograms = {name for name in SERIES if name.endswith(("_sum", "_count", "_bucket"))}
    return counters | of_histograms | {metric for metric in VLLM_METRICS if metric.endswith("_total")}
