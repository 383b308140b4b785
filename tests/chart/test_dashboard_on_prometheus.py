"""Every query of the dashboards, answered by a real Prometheus that holds a run of which every number is known."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chart.simulated_run import MAX_STEPS, PER_STEP, PHASE_S, SECONDS, START, STEP_S, TARGET, open_metrics
from codegen.dashboard_queries import PanelQuery, queries_of, variable_queries_of
from harness.daemons import daemon, free_port
from harness.layout import CHART
from harness.prometheus import Prometheus
from harness.waiting import wait_for

DASHBOARD, FLEET = (
    json.loads((CHART / "dashboards" / f"{name}.json").read_text()) for name in ("grpo-run", "grpo-fleet")
)
QUERIES = list(queries_of(DASHBOARD))
VALUES = {**TARGET, "window": "5m", "__range": "30m"}
READY_S = 60
END = START + SECONDS
STEPS = SECONDS / STEP_S


@pytest.fixture(scope="module")
def prometheus(binaries: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    folder = tmp_path_factory.mktemp("prometheus")
    (folder / "run.txt").write_text(open_metrics())
    load = ["tsdb", "create-blocks-from", "openmetrics", str(folder / "run.txt"), str(folder / "data")]
    subprocess.run([binaries / "promtool", *load], check=True, capture_output=True)
    (folder / "prometheus.yml").write_text("global: {}\n")
    port = free_port()
    flags = [
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--storage.tsdb.retention.time=100y",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    server = Prometheus(f"http://127.0.0.1:{port}")
    with daemon([str(binaries / "prometheus"), *flags], folder / "log") as process:
        wait_for("Prometheus with its data", lambda: _holds_the_run(server, process, folder / "log"), READY_S)
        yield server


def _holds_the_run(server: Prometheus, process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    try:
        return bool(server.query_range("grpo_step", START, END, 60))
    except OSError:
        return False


def courses(prometheus: Prometheus, panel: str, ref: str = "A") -> dict[tuple[str, ...], list[float]]:
    """Label values of each series of a query -> its values from minute 10 on, when every window is full."""
    [query] = [query for query in QUERIES if (query.panel, query.ref) == (panel, ref)]
    found = prometheus.query_range(query.with_values(VALUES), START + 600, END, 60)
    return {tuple(series["metric"].values()): [float(value) for _, value in series["values"]] for series in found}


def last(prometheus: Prometheus, panel: str, ref: str = "A") -> dict[tuple[str, ...], float]:
    return {labels: values[-1] for labels, values in courses(prometheus, panel, ref).items()}


@pytest.mark.parametrize("query", [*QUERIES, *queries_of(FLEET)], ids=lambda query: f"{query.panel} {query.ref}")
def test_query_has_data(prometheus: Prometheus, query: PanelQuery) -> None:
    found = prometheus.query_range(query.with_values(VALUES), START + 600, END, 60)
    assert found
    assert all(value != "NaN" for series in found for _, value in series["values"])


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: f"{query.panel} {query.ref}")
def test_another_run_has_none(prometheus: Prometheus, query: PanelQuery) -> None:
    assert prometheus.query_range(query.with_values(VALUES | {"run": "second"}), START + 600, END, 60) == []


@pytest.mark.parametrize("dashboard", [DASHBOARD, FLEET], ids=lambda dashboard: dashboard["title"])
def test_variables_have_values(prometheus: Prometheus, dashboard: dict[str, Any]) -> None:
    for name, query in variable_queries_of(dashboard).items():
        selector, label = query.removeprefix("label_values(").removesuffix(")").rsplit(", ", 1)
        matcher = PanelQuery("", "", selector).with_values(VALUES)
        assert prometheus.label_values(label, matcher) == [TARGET[name]]


def test_steps_and_what_is_left_of_them(prometheus: Prometheus) -> None:
    assert last(prometheus, "Step") == {(): STEPS}
    assert last(prometheus, "Progress") == {(): STEPS / MAX_STEPS}
    assert last(prometheus, "Time left")[()] == pytest.approx((MAX_STEPS - STEPS) * STEP_S)


def test_reward_has_a_band_of_one_deviation(prometheus: Prometheus) -> None:
    band = [last(prometheus, "Reward", ref)[()] for ref in "BC"]
    assert band == pytest.approx([0.6 + 0.25, 0.6 - 0.25])


def test_phases_add_up_to_the_step(prometheus: Prometheus) -> None:
    phases = last(prometheus, "Step time by phase")
    assert phases == pytest.approx({(phase,): seconds for phase, seconds in PHASE_S.items()})
    assert sum(phases.values()) == pytest.approx(last(prometheus, "Step time")[()]) == pytest.approx(STEP_S)


def test_rates_are_per_second(prometheus: Prometheus) -> None:
    per_second = PER_STEP / STEP_S
    assert last(prometheus, "Tokens per second") == pytest.approx(
        {("prompt",): per_second, ("completion",): per_second}
    )
    assert last(prometheus, "Completion tokens / s") == pytest.approx({(): per_second})
    of_generators = last(prometheus, "Completions per second by generator")
    assert of_generators == pytest.approx({(f"first-generator-{letter}",): per_second for letter in "ab"})
    assert last(prometheus, "Tokens per second by generator") == pytest.approx(of_generators)


def test_counts_are_of_the_window(prometheus: Prometheus) -> None:
    assert last(prometheus, "Failovers") == pytest.approx({(): 300 / STEP_S * PER_STEP})


def test_percentiles_lie_in_the_right_bucket(prometheus: Prometheus) -> None:
    assert 1 < last(prometheus, "Step time", "B")[()] <= 2.5


def test_gpu_hours_are_of_the_chosen_time(prometheus: Prometheus) -> None:
    assert last(prometheus, "GPU-hours")[()] == pytest.approx(2 * 8 * SECONDS / 3600, rel=0.05)
    assert last(prometheus, "GPU-hours waited")[()] == pytest.approx(2 * 8 * 0.5 * SECONDS / 3600, rel=0.05)


def test_two_generators_are_told_apart(prometheus: Prometheus) -> None:
    assert last(prometheus, "KV cache in use") == {("first-generator-a",): 0.5, ("first-generator-b",): 0.5}
