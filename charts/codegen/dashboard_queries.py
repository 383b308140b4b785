"""The queries of a dashboard file, for tests and for whoever wants to run them outside Grafana."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_NO_METRIC = re.compile(r"\{[^}]*\}|\b(?:by|on|ignoring|group_left)\s*\([^)]*\)")
_METRIC = re.compile(r"\b[a-z]\w*[_:][\w:]*\b(?!\s*\()")
_VARIABLE = re.compile(r"\$\{?(\w+)\}?")


@dataclass(frozen=True)
class PanelQuery:
    panel: str
    ref: str
    expr: str

    @property
    def metrics(self) -> set[str]:
        """Names of time series: what has an underscore or a colon in it, and is neither a function nor a label."""
        return set(_METRIC.findall(_VARIABLE.sub("", _NO_METRIC.sub("", self.expr))))

    @property
    def variables(self) -> set[str]:
        return set(_VARIABLE.findall(self.expr))

    def with_values(self, values: Mapping[str, str]) -> str:
        """The expression as Prometheus takes it. KeyError: a variable has no value."""
        return _VARIABLE.sub(lambda match: values[match.group(1)], self.expr)


def queries_of(dashboard: Mapping[str, Any]) -> Iterator[PanelQuery]:
    """All queries in the order of the panels, then those of its annotations."""
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield PanelQuery(panel["title"], target["refId"], target["expr"])
    for annotation in dashboard.get("annotations", {}).get("list", []):
        if "target" in annotation:
            yield PanelQuery(annotation["name"], annotation["target"]["refId"], annotation["target"]["expr"])


def variable_queries_of(dashboard: Mapping[str, Any]) -> dict[str, str]:
    """Name of each variable that is filled from Prometheus -> its query, `label_values(<selector>, <label>)`."""
    variables = dashboard["templating"]["list"]
    return {variable["name"]: variable["query"]["query"] for variable in variables if variable["type"] == "query"}
