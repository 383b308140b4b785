"""Questions to a Prometheus server over its HTTP API."""

import json
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import Any


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
        window = f"[{int(time.time() - since)}s]"
        found = self.query(f"group by (__name__) (last_over_time({selector}{window}))")
        return {entry["metric"]["__name__"] for entry in found}

    def targets(self) -> list[dict[str, Any]]:
        active: list[dict[str, Any]] = self._get("targets", state="active")["activeTargets"]
        return active

    def _get(self, path: str, **parameters: str) -> dict[str, Any]:
        answer: dict[str, Any] = self._read(f"{path}?{urllib.parse.urlencode(parameters)}")
        return answer

    def _read(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}", timeout=30) as answer:
            return json.load(answer)["data"]
