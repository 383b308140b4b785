"""The operator's metrics and its HTTP server, as Prometheus and the kubelet read them."""

import asyncio
from collections.abc import Callable

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from grpo_contract.metrics import OPERATOR_METRICS
from grpo_operator.account import Account, account_of
from grpo_operator.metrics import OperatorMetrics
from grpo_operator.serving import serve
from harness.daemons import free_port
from unit.test_account import FULL, KEY


def samples(metrics: OperatorMetrics) -> dict[tuple[str, tuple[str, ...]], float]:
    """Name and label values, in the order of the labels' names -> value."""
    families = text_string_to_metric_families(metrics.text().decode())
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def make_metrics(*phases: str, is_leading: bool = True) -> OperatorMetrics:
    """One run of each phase, and one of which all is known."""
    accounts = [((phase, str(number)), Account(phase)) for number, phase in enumerate(phases)]
    return OperatorMetrics(lambda: [*accounts, (KEY, account_of(FULL))], lambda: 3, lambda: is_leading)


def test_every_metric_of_the_table_is_there() -> None:
    metrics = make_metrics()
    metrics.looked(0.1, is_due_again=False)
    metrics.answered("GET", 200)
    metrics.restarted("learner", "GeneratorsLost")
    names = {name for name, _ in samples(metrics)}
    for metric in OPERATOR_METRICS:
        assert metric.name in names or f"{metric.name}_count" in names


def test_runs_are_counted_at_every_scrape() -> None:
    found = samples(make_metrics("Running", "Failed", "Running", "Unheard"))
    assert found["grpo_runs", ("Running",)] == 3
    assert found["grpo_runs", ("Failed",)] == 1
    assert found["grpo_runs", ("Succeeded",)] == 0
    assert found["grpo_runs", ("Unheard",)] == 1, "of a newer operator"
    assert found["workqueue_depth", ("grporun",)] == 3


def test_a_run_is_told_of_by_namespace_and_name() -> None:
    found = samples(make_metrics())
    assert found["grpo_run_step", ("math", "team")] == 70
    assert found["grpo_run_phase", ("Running", "math", "team")] == 1
    assert found["grpo_run_gpus", ("learner", "math", "team")] == 16
    assert found["grpo_benchmark_score", ("pass@1", "math", "team", "math_500|0")] == 0.75


def test_a_replica_that_waits_tells_of_no_runs() -> None:
    found = samples(make_metrics("Running", is_leading=False))
    assert not {name for name, _ in found} & {metric.name for metric in OPERATOR_METRICS if "run" in metric.labels}
    assert found["grpo_runs", ("Running",)] == 0
    assert found["workqueue_depth", ("grporun",)] == 0


def test_looks_and_answers_are_counted() -> None:
    metrics = make_metrics()
    metrics.looked(0.02, is_due_again=True)
    metrics.looked(0.02, is_due_again=False)
    metrics.failed_to_look(2)
    metrics.answered("PATCH", 409)
    metrics.answered("PATCH", 0)
    metrics.restarted("learner", "OOMKilled")
    found = samples(metrics)
    for result in ("requeue_after", "success", "error"):
        assert found["controller_runtime_reconcile_total", ("grporun", result)] == 1
    assert found["controller_runtime_reconcile_errors_total", ("grporun",)] == 1
    assert found["controller_runtime_reconcile_time_seconds_count", ("grporun",)] == 3
    assert found["controller_runtime_reconcile_time_seconds_bucket", ("grporun", "0.025")] == 2
    assert found["rest_client_requests_total", ("409", "PATCH")] == 1
    assert found["rest_client_requests_total", ("<error>", "PATCH")] == 1
    assert found["grpo_run_restarts_total", ("OOMKilled", "learner")] == 1


@pytest.mark.parametrize(("ailment", "status"), [(None, 200), ("a worker hangs", 503)])
def test_health(ailment: str | None, status: int) -> None:
    async def test(port: int) -> None:
        say: Callable[[], str | None] = lambda: ailment  # noqa: E731
        async with (
            serve(lambda: b"metric 1\n", say, port),
            aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
        ):
            async with session.get("/healthz") as answer:
                assert answer.status == status
                assert await answer.text() == (ailment or "ok")
            async with session.get("/metrics") as answer:
                assert await answer.text() == "metric 1\n"
                assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")

    port = free_port()
    asyncio.run(test(port))
