"""Questions to a Prometheus server over its HTTP API."""

import json
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple


class Raised(NamedTuple):
    """An alert that holds, or held."""

    alert: str
    severity: str
    state: str
    """`pending` until it has held for as long as its rule says, then `firing`."""


@dataclass(frozen=True)
class Prometheus:
    url: str

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Instant query: the resulting vector."""
        result: list[dict[str, Any]] = self._get("query", query=expression)["result"]
        return result

    def query_range(self, expression: str, start: float, end: float, step_s: float) -> list[dict[str, Any]]:
        result: list[dict[str, Any]] = self._get(
            "query_range", query=expression, start=str(start), end=str(end), step=str(step_s)
        )["result"]
        return result

    def label_values(self, label: str, *matchers: str) -> list[str]:
        query = urllib.parse.urlencode([("match[]", matcher) for matcher in matchers])
        values: list[str] = self._read(f"label/{label}/values?{query}")
        return values

    def metric_names(self, selector: str, since: float) -> set[str]:
        """Of series that got a value since then. (`label_values` also tells those of hours ago, even when asked by time.)"""
        found = self.query(f"group by (__name__) (last_over_time({selector}[{_seconds(since)}s]))")
        return {entry["metric"]["__name__"] for entry in found}

    def targets(self) -> list[dict[str, Any]]:
        active: list[dict[str, Any]] = self._get("targets", state="active")["activeTargets"]
        return active

    def rule_groups(self) -> list[dict[str, Any]]:
        groups: list[dict[str, Any]] = self._get("rules", type="alert")["groups"]
        return groups

    def rules(self) -> list[dict[str, Any]]:
        return [rule for group in self.rule_groups() for rule in group["rules"]]

    def raised(self, since: float, **labels: str) -> set[Raised]:
        """Since then, with these labels."""
        found = self.query(f"last_over_time({_alerts(labels)}[{_seconds(since)}s])")
        return {
            Raised(*(entry["metric"][label] for label in ("alertname", "severity", "alertstate"))) for entry in found
        }

    def first_firing(self, since: float, **labels: str) -> float | None:
        """When an alert with these labels fired, that time at the earliest."""
        firing = f"timestamp({_alerts(labels | {'alertstate': 'firing'})})"
        found = self.query(f"min(min_over_time({firing}[{_seconds(since)}s:1s]))")
        return max(since, float(found[0]["value"][1])) if found else None

    def selectors(self, expression: str) -> set[str]:
        """Of all series that it is about, whatever it makes of them and of whichever time."""
        return set(selectors_in(self._get("parse_query", query=expression)))

    def _get(self, path: str, **parameters: str) -> dict[str, Any]:
        answer: dict[str, Any] = self._read(f"{path}?{urllib.parse.urlencode(parameters)}")
        return answer

    def _read(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}", timeout=30) as answer:
            return json.load(answer)["data"]


def _alerts(labels: Mapping[str, str]) -> str:
    return f"ALERTS{{{', '.join(f'{label}={json.dumps(value)}' for label, value in labels.items())}}}"


def _seconds(since: float) -> int:
    """Of a window, which must not be empty."""
    return max(1, int(time.time() - since))


def selectors_in(tree: Any) -> Iterator[str]:
    """`tree`: a parsed expression, as Prometheus gives it."""
    if isinstance(tree, list):
        for part in tree:
            yield from selectors_in(part)
    elif isinstance(tree, dict) and "matchers" in tree:
        labels = [each for each in tree["matchers"] if each["name"] != "__name__"]
        yield (
            tree["name"]
            + "{"
            + ", ".join(each["name"] + each["type"] + json.dumps(each["value"]) for each in labels)
            + "}"
        )
    elif isinstance(tree, dict):
        yield from selectors_in(list(tree.values()))
