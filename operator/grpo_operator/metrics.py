"""The operator's own metrics: the table in `grpo_contract.metrics`, made real."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.registry import Collector

from grpo_contract.failure import PodReason
from grpo_contract.labels import Role
from grpo_contract.metrics import OPERATOR_METRICS, Metric
from grpo_operator.account import Account
from grpo_operator.api.status import Phase
from grpo_operator.cache import Key

CONTROLLER: Final = "grporun"
"""Value of the labels `controller` and `name`: there is one controller and one queue."""

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_BY_NAME: Final = {metric.name: metric for metric in OPERATOR_METRICS}

M = TypeVar("M", bound=MetricWrapperBase)


class OperatorMetrics:
    def __init__(
        self,
        accounts: Callable[[], Iterable[tuple[Key, Account]]],
        queue_depth: Callable[[], int],
        is_leading: Callable[[], bool],
    ) -> None:
        """`accounts`: of all runs, asked for at every scrape. A replica that waits knows the runs and queues them too; told by
        each, they would be counted twice, and nothing be taken from its queue."""
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._registry.register(_Runs(lambda: accounts() if is_leading() else ()))
        self._restarts = self._make(Counter, "grpo_run_restarts_total")
        # At 0: a counter that begins at 1 shows no increase.
        self._restarts.labels(Role.LEARNER, PodReason.LEARNER_ERROR)
        self._reconciles = self._make(Counter, "controller_runtime_reconcile_total")
        self._errors = self._make(Counter, "controller_runtime_reconcile_errors_total").labels(CONTROLLER)
        self._requests = self._make(Counter, "rest_client_requests_total")
        depth = self._make(Gauge, "workqueue_depth").labels(CONTROLLER)
        depth.set_function(lambda: float(queue_depth() if is_leading() else 0))
        seconds = _BY_NAME["controller_runtime_reconcile_time_seconds"]
        self._seconds = Histogram(
            seconds.name, seconds.help, seconds.labels, registry=self._registry, buckets=seconds.buckets
        ).labels(CONTROLLER)

    def looked(self, seconds: float, is_due_again: bool) -> None:
        self._reconciles.labels(CONTROLLER, "requeue_after" if is_due_again else "success").inc()
        self._seconds.observe(seconds)

    def failed_to_look(self, seconds: float) -> None:
        self._reconciles.labels(CONTROLLER, "error").inc()
        self._errors.inc()
        self._seconds.observe(seconds)

    def restarted(self, role: str, reason: str) -> None:
        self._restarts.labels(role, reason).inc()

    def answered(self, method: str, status: int) -> None:
        """Status 0 is no answer at all."""
        self._requests.labels(method, str(status) if status else "<error>").inc()

    def text(self) -> bytes:
        return generate_latest(self._registry)

    def _make(self, metric_class: type[M], name: str) -> M:
        metric = _BY_NAME[name]
        return metric_class(metric.name, metric.help, metric.labels, registry=self._registry)


class _Runs(Collector):
    def __init__(self, accounts: Callable[[], Iterable[tuple[Key, Account]]]) -> None:
        self._accounts = accounts

    def collect(self) -> Iterator[GaugeMetricFamily]:
        counts = dict.fromkeys((phase.value for phase in Phase), 0)
        families = {metric.name: _gauge(metric) for metric in OPERATOR_METRICS if "run" in metric.labels}
        for run, account in self._accounts():
            counts[account.phase] = counts.get(account.phase, 0) + 1  # one that a newer operator gave is counted too
            for name, labels, value in account.samples:
                families[name].add_metric([*run, *labels], value)
        by_phase = _gauge(_BY_NAME["grpo_runs"])
        for phase, count in counts.items():
            by_phase.add_metric([phase], count)
        yield from (by_phase, *families.values())


def _gauge(metric: Metric) -> GaugeMetricFamily:
    return GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
