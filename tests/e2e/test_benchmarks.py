"""A run that evaluates, and whose models are benchmarked: a checkpoint's, which is gone by then, and the trained one."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from codegen.dashboard_queries import queries_of
from grpo_contract.labels import BENCHMARK_LABEL
from harness.demo_runs import demo_run
from harness.kubectl import Kubectl, Manifest, condition
from harness.layout import CHART
from harness.outages import wait_through_outages
from harness.prometheus import Prometheus
from harness.runs import ALL_KINDS, SOON_S, children, events_of, last_words, pods, wait_for_phase

NAME = "benchmarked"
RECIPE: dict[str, Any] = {
    "max_steps": 3,
    "per_device_train_batch_size": 16,
    "benchmarks": ["arithmetic"],
    "save_strategy": "steps",
    "save_steps": 1,
    "save_total_limit": 1,
    "dataset_name": None,
    "dataset_mixture": {
        "datasets": [{"id": "/volume/demo/train.jsonl", "columns": ["problem", "solution"]}],
        "test_split_size": 4,
    },
    "eval_strategy": "steps",
    "eval_steps": 2,
}
RUN_S = 400
BENCHMARKS_S = 300
APART_S = 1
"""Seconds between the points that are asked for. What a learner says only to its last scrape is there until the next one
fails, two seconds on: points that are farther apart may all miss it."""
TARGETS = ["checkpoint-1", "checkpoint-2", "checkpoint-3"]


@pytest.fixture(scope="module")
def started() -> float:
    return time.time()


@pytest.fixture(scope="module")
def run(namespace: Kubectl, started: float) -> Iterator[Manifest]:
    """After its end, and the end of its benchmarks."""
    checkpoint, one = {"everySteps": 3, "keep": 1}, {"replicas": 1}
    namespace.apply(demo_run(NAME, recipe=RECIPE, checkpoint=checkpoint, learners=one, generators=one))
    wait_for_phase(namespace, NAME, "Succeeded", RUN_S)
    yield wait_through_outages("all benchmarks", lambda: _when_benchmarked(namespace), BENCHMARKS_S)
    namespace("delete", "grporun", NAME, "--timeout=60s")
    wait_through_outages("the end of its Jobs", lambda: not children(namespace, NAME, ALL_KINDS), SOON_S)


def _when_benchmarked(namespace: Kubectl) -> Manifest | None:
    run = namespace.get("grporun", NAME)
    ended = [entry["phase"] in ("Succeeded", "Failed") for entry in run["status"]["benchmarks"]]
    return run if len(ended) == len(TARGETS) and all(ended) else None


def test_each_model_has_its_scores(run: Manifest) -> None:
    entries = run["status"]["benchmarks"]
    assert [(entry["target"], entry["step"], entry["phase"]) for entry in entries] == [
        (target, step, "Succeeded") for step, target in enumerate(TARGETS, start=1)
    ]
    for entry in entries:
        assert list(entry["scores"]) == ["arithmetic"]
        assert 0 < entry["scores"]["arithmetic"]["accuracy"] < 1
    benchmarked = condition(run, "Benchmarked")
    assert benchmarked is not None
    assert (benchmarked["status"], benchmarked["reason"]) == ("True", "BenchmarksDone")
    assert benchmarked["message"] == "3 of 3 models are benchmarked."


def test_they_were_made_one_after_the_other(run: Manifest, namespace: Kubectl) -> None:
    """No pod was there before the one before it had ended."""
    found = sorted(pods(namespace, NAME, "benchmark"), key=lambda pod: str(pod["metadata"]["labels"][BENCHMARK_LABEL]))
    assert [pod["metadata"]["labels"][BENCHMARK_LABEL] for pod in found] == TARGETS
    times = [time for pod in found for time in (pod["metadata"]["creationTimestamp"], last_words(pod)["finishedAt"])]
    assert times == sorted(times)


def test_models_that_were_kept_for_it_are_cleared_away(run: Manifest, namespace: Kubectl) -> None:
    """By the report's own account: it removes what is named last in its command."""
    for pod in pods(namespace, NAME, "benchmark"):
        (report,) = pod["spec"]["containers"]
        target = pod["metadata"]["labels"][BENCHMARK_LABEL]
        assert report["command"][5:] == [f"{run['status']['output']}/benchmarks/{target}/model"]
        assert last_words(pod)["exitCode"] == 0


def test_an_event_tells_of_each(run: Manifest, namespace: Kubectl) -> None:
    def told() -> bool:
        notes = [event["note"] for event in events_of(namespace, NAME) if event["reason"] == "BenchmarkSucceeded"]
        return sorted(note.partition(":")[0] for note in notes) == TARGETS

    wait_through_outages("an Event for each", told, SOON_S)


def test_the_dashboard_shows_evaluation_and_benchmarks(
    run: Manifest, namespace: Kubectl, prometheus: Prometheus, started: float
) -> None:
    values = {"namespace": str(namespace.namespace), "run": NAME, "window": "1m"}
    dashboard = json.loads((CHART / "dashboards" / "grpo-run.json").read_text())
    queries = [query for query in queries_of(dashboard) if query.panel.startswith(("Evaluation", "Benchmarks"))]
    assert len(queries) >= 8

    def empty() -> list[str]:
        now = time.time()
        return [q.expr for q in queries if not prometheus.query_range(q.with_values(values), started, now, APART_S)]

    def newest() -> list[str]:
        found = prometheus.query(f'grpo_benchmark_step{{run_namespace="{namespace.namespace}", run="{NAME}"}}')
        return [series["value"][1] for series in found]

    wait_through_outages("values for every query", lambda: not empty(), SOON_S)
    # Prometheus has it from the first scrape after the status has it.
    wait_through_outages("a scrape after the last benchmark", lambda: newest() == ["3"], SOON_S)


def test_what_was_evaluated_is_in_the_status(run: Manifest) -> None:
    evaluation = run["status"]["evaluation"]
    assert evaluation["step"] == 3
    assert 0 <= evaluation["rewards"]["accuracy"] <= 1
