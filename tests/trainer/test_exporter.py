"""The learner's HTTP port: what it serves, under which names, and what is absent."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from grpo_contract.metrics import LEARNER_METRICS, Kind
from grpo_contract.progress import Metrics, Stage
from grpo_trainer.fleet.observer import GeneratorState, GeneratorStatus
from grpo_trainer.fleet.update import Update
from grpo_trainer.instruments.metrics import LearnerMetrics
from grpo_trainer.instruments.progress import ProgressBoard
from grpo_trainer.reports.exporter import Exporter, new_registry
from grpo_trainer.reports.fleet_report import FleetReport
from grpo_trainer.reports.step_report import copy_gauges
from harness.waiting import wait_for

COMPLETIONS = "grpo_generator_completions_total"


class Served:
    """A pod's exporter on a free port."""

    def __init__(self, *, first: bool) -> None:
        self.registry = new_registry()
        self.board = ProgressBoard(attempt=3)
        self.metrics = LearnerMetrics(self.registry if first else None)
        self.server = Exporter(self.registry, self.board if first else None, port=0)

    def get(self, path: str) -> requests.Response:
        return requests.get(f"http://127.0.0.1:{self.server.server_address[1]}{path}", timeout=5)

    def samples(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        """{(name, labels): value}."""
        families = text_string_to_metric_families(self.get("/metrics").text)
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in families
            for sample in family.samples
        }

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def learner_0() -> Iterator[Served]:
    served = Served(first=True)
    yield served
    served.close()


@pytest.fixture
def learner_1() -> Iterator[Served]:
    served = Served(first=False)
    yield served
    served.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_pods_of_both_families_are_served(learner_0: Served, host: str) -> None:
    port = learner_0.server.server_address[1]
    assert requests.get(f"http://{host}:{port}/healthz", timeout=5).text == "ok\n"


def test_a_learner_that_is_loading(learner_0: Served) -> None:
    assert learner_0.get("/healthz").text == "ok\n"
    assert learner_0.get("/progress").headers["Content-Type"] == "application/json"
    assert learner_0.get("/progress").json() == {
        "attempt": 3,
        "stage": "Loading",
        "progress": {"step": 0},
        "metrics": {"rewards": {}},
        "generators": [],
        "keptModels": [],
    }


def test_other_learners_have_health_and_process_metrics_only(learner_1: Served) -> None:
    assert learner_1.get("/healthz").ok
    assert learner_1.get("/progress").status_code == 404
    learner_1.metrics.set("grpo_step", 7)
    names = {name for name, _ in learner_1.samples()}
    assert "process_cpu_seconds_total" in names
    assert not any(name.startswith("grpo_") for name in names)


@pytest.mark.parametrize("path", ["/", "/metrics/", "/progress/1"])
def test_other_paths(learner_0: Served, path: str) -> None:
    assert learner_0.get(path).status_code == 404


def test_progress_is_what_was_last_told(learner_0: Served) -> None:
    learner_0.board.update(stage=Stage.TRAINING, metrics=Metrics(reward=0.5, rewards={"accuracy": 0.25}))
    learner_0.board.update_part("progress", step=7, max_steps=40, eta_seconds=None)
    told = learner_0.get("/progress").json()
    assert told["stage"] == "Training"
    assert told["progress"] == {"step": 7, "maxSteps": 40}
    assert told["metrics"] == {"reward": 0.5, "rewards": {"accuracy": 0.25}}


def test_a_gauge_is_there_while_it_has_a_value(learner_0: Served) -> None:
    kl = ("grpo_kl", ())
    assert kl not in learner_0.samples()
    learner_0.metrics.set("grpo_kl", 0.25)
    assert learner_0.samples()[kl] == 0.25
    for nothing in (None, float("nan"), float("inf")):
        learner_0.metrics.set("grpo_kl", 0.25)
        learner_0.metrics.set("grpo_kl", nothing)
        assert kl not in learner_0.samples()


def test_what_is_not_finite_is_counted(learner_0: Served) -> None:
    def count(metric: str) -> float:
        return learner_0.samples()["grpo_not_finite_total", (("metric", metric),)]

    assert (count("grpo_grad_norm"), count("grpo_reward_func"), count("grpo_clip_ratio")) == (0, 0, 0)
    logged = {"grad_norm": float("nan"), "reward": 0.5, "rewards/accuracy/mean": float("inf")}
    copy_gauges(learner_0.metrics, logged, ["accuracy"], of_evaluation=False)
    assert (count("grpo_grad_norm"), count("grpo_reward_func"), count("grpo_reward")) == (1, 1, 0)
    copy_gauges(learner_0.metrics, {}, ["accuracy"], of_evaluation=False)
    assert count("grpo_grad_norm") == 1


def test_every_metric_of_the_table_can_be_told(learner_0: Served) -> None:
    tell: dict[Kind, Any] = {
        Kind.GAUGE: learner_0.metrics.set,
        Kind.COUNTER: learner_0.metrics.add,
        Kind.HISTOGRAM: learner_0.metrics.observe,
    }
    for metric in LEARNER_METRICS:
        tell[metric.kind](metric.name, 1.5, *metric.labels)  # each label's value is its own name
    samples = learner_0.samples()
    for metric in LEARNER_METRICS:
        labels = tuple(sorted((label, label) for label in metric.labels))
        name = f"{metric.name}_sum" if metric.kind is Kind.HISTOGRAM else metric.name
        assert samples[name, labels] == 1.5
    assert not any(name.endswith("_created") for name, _ in samples)


def test_prometheus_3_gets_the_format_it_asks_for(learner_0: Served) -> None:
    port = learner_0.server.server_address[1]
    asked = {"Accept": "application/openmetrics-text;version=1.0.0"}
    answer = requests.get(f"http://127.0.0.1:{port}/metrics", headers=asked, timeout=5)
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert answer.text.endswith("# EOF\n")


@pytest.mark.parametrize(
    ("error", "is_told"), [(BrokenPipeError(), False), (ConnectionResetError(), False), (KeyError("oops"), True)]
)
def test_a_client_that_hangs_up_leaves_no_traceback(
    learner_0: Served, error: Exception, is_told: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    def hang_up() -> None:
        raise error

    try:
        hang_up()
    except Exception:
        learner_0.server.handle_error(None, ("10.0.0.1", 39418))
    assert ("Traceback" in capsys.readouterr().err) is is_told


@pytest.mark.parametrize("seconds_ago", [(), (0.5,), (100, 70)], ids=["never", "once", "not for long"])
def test_without_a_scraper_the_last_scrape_is_not_waited_for(learner_0: Served, seconds_ago: tuple[float, ...]) -> None:
    for seconds in seconds_ago:
        learner_0.server.scraped(time.monotonic() - seconds)
    assert not learner_0.server.wait_for_last_scrape()


def test_the_last_scrape_is_waited_for(learner_0: Served) -> None:
    """Scraped every 20 s, the last time 10 s ago."""
    for seconds in (30, 10):
        learner_0.server.scraped(time.monotonic() - seconds)
    learner_0.metrics.set("grpo_step", 40)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(learner_0.server.wait_for_last_scrape)
        learner_0.get("/healthz")
        assert not waiting.done()
        # A scrape that began before the wait did is not the last one.
        wait_for("the end of the wait", lambda: learner_0.samples()["grpo_step", ()] == 40 and waiting.done(), 20)
        assert waiting.result()


def test_what_the_fleet_tells(learner_0: Served) -> None:
    learner_0.board.update(stage=Stage.TRAINING)
    report = FleetReport(learner_0.metrics, learner_0.board)
    before = learner_0.samples()
    assert before["grpo_generator_failovers_total", ()] == before["grpo_weight_sync_failures_total", ()] == 0
    assert before["grpo_generators", (("state", "lost"),)] == 0

    report.published("run-2", 2)
    report.synced("g0", Update("run-2", 0.3, 0.1, 1000))
    report.synced("g1", Update("run-2", 0.4, 0.2, 1000))
    report.sync_failed("g2")
    report.failed_over(5)
    report.completed("g0", 64)
    report.completed("gone", 8)
    report.wrote("g0", 6400, 2.5)
    report.wrote("g0", 0, 0.5)
    new = [GeneratorStatus("g1", GeneratorState.IN_SYNC), GeneratorStatus("10.0.0.7:8000", GeneratorState.LOST)]
    report.states(new)
    told = {labels: value for (name, labels), value in learner_0.samples().items() if name == COMPLETIONS}
    assert told == {(("generator", name),): count for name, count in (("g0", 64), ("gone", 8), ("g1", 0))}
    report.states([GeneratorStatus("g0", GeneratorState.IN_SYNC), GeneratorStatus("g2", GeneratorState.LOST)])
    report.completed("g0", 64)

    samples = learner_0.samples()
    assert samples["grpo_weight_version", ()] == 2
    assert samples["grpo_weight_sync_seconds_count", ()] == 2
    assert samples["grpo_weight_sync_seconds_sum", ()] == pytest.approx(0.7)
    assert samples["grpo_weight_swap_pause_seconds_count", ()] == 2
    assert samples["grpo_weight_swap_pause_seconds_sum", ()] == pytest.approx(0.3)
    assert samples["grpo_weight_sync_bytes_total", ()] == 2000
    assert samples["grpo_weight_sync_failures_total", ()] == 1
    assert samples["grpo_generator_failovers_total", ()] == 5
    assert samples[COMPLETIONS, (("generator", "g0"),)] == 128
    assert samples["grpo_generator_tokens_total", (("generator", "g0"),)] == 6400
    assert samples["grpo_generator_busy_seconds_total", (("generator", "g0"),)] == 3.0
    states = {label: samples["grpo_generators", (("state", label),)] for label in ("ready", "in_sync", "lost")}
    assert states == {"ready": 0, "in_sync": 1, "lost": 1}
    progress = json.loads(learner_0.board.read().to_json())
    assert progress["weightVersion"] == "run-2"
    assert progress["generators"] == [
        {"name": "g0", "inSync": True, "completions": 128, "hasLeft": False},
        {"name": "g2", "inSync": False, "completions": 0, "hasLeft": False},
        {"name": "gone", "inSync": False, "completions": 8, "hasLeft": True},
    ]


def test_waiting_for_generators_is_a_stage_and_is_timed(learner_0: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 12.5, 13.0, 14.0])
    monkeypatch.setattr("grpo_trainer.reports.fleet_report.time.perf_counter", lambda: next(clock))
    report = FleetReport(learner_0.metrics, learner_0.board)
    nobody = [GeneratorStatus("g0", GeneratorState.LOST)]
    somebody = [GeneratorStatus("g0", GeneratorState.IN_SYNC)]
    getting_weights = [GeneratorStatus("g0", GeneratorState.LOST), GeneratorStatus("g1", GeneratorState.READY)]

    report.states(nobody)
    assert learner_0.board.read().stage is Stage.LOADING  # training has not begun
    learner_0.board.update(stage=Stage.TRAINING)
    report.states(nobody)
    assert learner_0.board.read().stage is Stage.WAITING_FOR_GENERATORS
    report.states(somebody)
    assert learner_0.board.read().stage is Stage.TRAINING
    assert report.take_waited_s() == 3.0
    report.states(getting_weights)
    assert learner_0.board.read().stage is Stage.TRAINING
    assert report.take_waited_s() == 0.0
