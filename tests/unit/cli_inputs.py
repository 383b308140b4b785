"""Runs and recipes for the tests of `kubectl grpo`."""

from typing import Any

from api.tables import BASE, run_with
from grpo_cli.check import Known, Report, check_run
from grpo_cli.finding import Level
from grpo_cli.kubectl_yaml import as_json
from grpo_cli.plan import Plan
from grpo_cli.product import product
from harness.merge_patch import merge_patch

RECIPE: dict[str, Any] = BASE["spec"]["recipe"]


def report_of(run: dict[str, Any], known: Known | None = None) -> Report:
    return check_run(as_json(run), known or Known(), product())


def run_of(recipe: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return run_with(merge_patch(BASE, {"spec": spec}), recipe or {})


def plan_of(recipe: dict[str, Any] | None = None, rows: int | None = None, **spec: Any) -> Plan:
    plan = report_of(run_of(recipe, **spec), Known(rows=rows)).plan
    assert plan is not None
    return plan


def said(report: Report, *levels: Level) -> list[tuple[str, str]]:
    """(field, sentence) of the findings of these levels, or of all."""
    return [(found.field, found.sentence) for found in report.findings if not levels or found.level in levels]
