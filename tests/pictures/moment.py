"""The moment that all pictures of a run show: one of its last steps, when its curves are there and its pods as well."""

import time
from datetime import datetime
from typing import Final

from demo.namespace import NAMESPACE
from harness.installation import local_cluster
from harness.kubectl import Kubectl, Manifest
from harness.layout import MANIFESTS
from harness.prometheus import Prometheus
from harness.runs import step
from pictures.answers import Span
from pictures.terminal import picture_of, printed_in_colour

SHOWN_SHARE: Final = 0.85
"""Of the run's steps: on a busy machine what is typed then is answered some steps later, and must not be after the end."""
ANOTHER: Final = MANIFESTS / "qwen-math-2x8.yaml"
"""Wants GPUs, of which the local cluster has none, and so waits: a fleet of one run would show little."""
SCRAPE_S: Final = 2.0
"""The local cluster's Prometheus."""


class Moment:
    """Is shown each new state of the run, and remembers what there is to be seen at that moment."""

    def __init__(self) -> None:
        self.top = ""
        self._created = self._shown = 0.0

    def look(self, run: Manifest) -> None:
        if not self._created:
            self._created = datetime.fromisoformat(run["metadata"]["creationTimestamp"]).timestamp()
            self._kubectl()("apply", "-f", str(ANOTHER))
        steps = run.get("status", {}).get("progress", {}).get("maxSteps")
        if not self._shown and steps and step(run) >= SHOWN_SHARE * steps:
            self._shown = time.time()
            command = ("top", run["metadata"]["name"], "--once")
            self.top = picture_of(printed_in_colour(self._kubectl(), *command), f"kubectl grpo {' '.join(command)}")

    def spans(self, prometheus: Prometheus) -> tuple[Span, Span]:
        """Of the run's own dashboard, from its first step, and of that of all runs, from where they were made."""
        told = prometheus.query_range(f'grpo_reward{{namespace="{NAMESPACE}"}}', self._created, self._shown, SCRAPE_S)
        first = min(float(series["values"][0][0]) for series in told)
        return Span(first, self._shown, SCRAPE_S), Span(self._created, self._shown, SCRAPE_S)

    def _kubectl(self) -> Kubectl:
        return local_cluster().within(NAMESPACE)
