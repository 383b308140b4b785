"""The dashboards of the chart, as files."""

import json
from typing import Any

from harness.layout import CHART

OF_FAULTS = {
    "Restarts",
    "Generators lost",
    "Not finite",
    "Failed rewards",
    "Runs without a step",
    "Failures of the last day by reason",
}
"""Panels and marks of the dashboards that are empty where nothing goes wrong."""


def read_dashboard(name: str) -> dict[str, Any]:
    dashboard: dict[str, Any] = json.loads((CHART / "dashboards" / f"{name}.json").read_text())
    return dashboard
