"""The learner's Prometheus metrics, made from the contract's table: no name is spelled here.

A gauge exists from the moment it has a value and disappears when the value does: a KL divergence that TRL does not
compute is absent, not 0. Counters and histograms start at 0, for the labels that are known.
"""

import math
import threading
from collections.abc import Iterable, Iterator
from typing import Final

import prometheus_client
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector, CollectorRegistry

from grpo_contract.metrics import LEARNER_METRICS, Kind, Metric

BY_NAME: Final = {metric.name: metric for metric in LEARNER_METRICS}

# Otherwise each counter has a second series that nobody asks for.
prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]


class Gauges(Collector):
    """Gauges whose values may come and go."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._lock = threading.Lock()
        self._values: dict[str, dict[tuple[str, ...], float]] = {metric.name: {} for metric in metrics}

    def set(self, name: str, labels: tuple[str, ...], value: float | None) -> None:
        with self._lock:
            if value is None:
                self._values[name].pop(labels, None)
            else:
                self._values[name][labels] = value

    def collect(self) -> Iterator[GaugeMetricFamily]:
        with self._lock:
            values = {name: dict(series) for name, series in self._values.items()}
        for name, series in values.items():
            family = GaugeMetricFamily(name, BY_NAME[name].help, labels=BY_NAME[name].labels)
            for labels, value in series.items():
                family.add_metric(labels, value)
            if series:
                yield family


class LearnerMetrics:
    """Learner 0's metrics; without a registry nobody sees them. Labels come in the order of the contract's table."""

    def __init__(self, registry: CollectorRegistry | None) -> None:
        self._gauges = Gauges(metric for metric in LEARNER_METRICS if metric.kind is Kind.GAUGE)
        if registry is not None:
            registry.register(self._gauges)
        self._counters = {
            metric.name: prometheus_client.Counter(metric.name, metric.help, metric.labels, registry=registry)
            for metric in LEARNER_METRICS
            if metric.kind is Kind.COUNTER
        }
        self._histograms = {
            metric.name: prometheus_client.Histogram(
                metric.name, metric.help, metric.labels, registry=registry, buckets=metric.buckets
            )
            for metric in LEARNER_METRICS
            if metric.kind is Kind.HISTOGRAM
        }

        for metric in LEARNER_METRICS:
            if metric.copies_trl:
                self.add("grpo_not_finite_total", 0, metric.name)

    def set(self, name: str, value: float | None, *labels: str) -> None:
        """None and values that are not finite remove the series; the latter are counted."""
        if value is not None and not math.isfinite(value):
            self.add("grpo_not_finite_total", 1, name)
            value = None
        self._gauges.set(name, labels, value)

    def add(self, name: str, amount: float, *labels: str) -> None:
        """An amount of 0 makes the series appear."""
        counter = self._counters[name]
        (counter.labels(*labels) if labels else counter).inc(amount)

    def observe(self, name: str, seconds: float, *labels: str) -> None:
        histogram = self._histograms[name]
        (histogram.labels(*labels) if labels else histogram).observe(seconds)
