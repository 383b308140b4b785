"""What pictures of dashboards show: queries with their values, rows without gaps, and no panel without data."""

import json
from typing import Any

import pytest

from codegen.dashboard_queries import queries_of
from harness.dashboards import OF_FAULTS, read_dashboard
from pictures import moment
from pictures.answers import Span, ask, check_data, is_empty
from pictures.bundle import SOURCES
from pictures.dashboards import OF_ALL_RUNS, OF_THE_RUN, Choice, variables_of
from pictures.errors import PictureError
from pictures.layout import OVERVIEW, Panel, moved_together, panels_of
from pictures.moment import Moment
from pictures.terminal import picture_of

SPAN = Span(start=1000, end=1240, step_s=2)
SERIES = {"metric": {"run": "demo"}, "values": [[1000, "0.5"], [1002, "NaN"], [1004, "+Inf"]]}


def panel(identity: int, x: int = 0, y: int = 0, w: int = 8, title: str = "", **more: Any) -> Panel:
    place = {"x": x, "y": y, "w": w, "h": 8}
    return {"id": identity, "type": "timeseries", "title": title or str(identity), "gridPos": place, **more}


def target(expr: str, **more: Any) -> dict[str, Any]:
    return {"refId": "A", "expr": expr, "legendFormat": "{{run}}", **more}


FULL: list[dict[str, Any]] = [{"series": [{"metric": {}, "values": []}, {"metric": {}, "values": [[1, "0"]]}]}]
DASHBOARD = {
    "title": "GRPO run",
    "panels": [
        panel(1),
        {**panel(2, title="Learning"), "type": "row"},
        panel(3),
        {**panel(4, title="Speed"), "type": "row"},
        panel(5),
    ],
}


class TestAnswers:
    @pytest.fixture
    def asked(self) -> list[tuple[str, float, float, float]]:
        return []

    @pytest.fixture
    def answers(self, asked: list[tuple[str, float, float, float]]) -> Any:
        def query_range(*question: Any) -> list[dict[str, Any]]:
            asked.append(question)
            return [SERIES]

        def of_target(target: dict[str, Any]) -> list[dict[str, Any]]:
            return ask(query_range, panel(1, targets=[target]), {"run": "demo", "window": "1m"}, SPAN)

        return of_target

    def test_variables_have_their_values(self, answers: Any, asked: list[tuple[str, float, float, float]]) -> None:
        answers(target('rate(x{run="$run"}[$window]) + sum_over_time(y[$__range:1m])'))
        assert asked == [('rate(x{run="demo"}[1m]) + sum_over_time(y[240s:1m])', 1000, 1240, 2)]

    def test_a_variable_without_a_value_is_no_empty_text(self, answers: Any) -> None:
        with pytest.raises(KeyError, match="namespace"):
            answers(target('x{namespace="$namespace"}'))

    def test_a_table_is_of_the_end(self, answers: Any, asked: list[tuple[str, float, float, float]]) -> None:
        (answer,) = answers(target("x", instant=True, format="table"))
        assert asked == [("x", 1240, 1240, 2)]
        assert answer["isTable"]

    def test_what_is_no_number_is_no_point(self, answers: Any) -> None:
        (answer,) = answers(target("x"))
        assert answer == {
            "refId": "A",
            "legendFormat": "{{run}}",
            "isTable": False,
            "series": [{"metric": {"run": "demo"}, "values": [[1000, "0.5"]]}],
        }


class TestEmptyPanels:
    @pytest.mark.parametrize("answers", [[], [{"series": []}], [{"series": [{"metric": {}, "values": []}]}]])
    def test_what_is_empty(self, answers: list[dict[str, Any]]) -> None:
        assert is_empty(answers)
        assert not is_empty([*answers, *FULL])

    def test_it_is_named(self) -> None:
        row: tuple[Panel, list[dict[str, Any]]] = ({**panel(1), "type": "row"}, [])
        full = (panel(2, title="Loss"), FULL)
        check_data("GRPO run", [row, full])
        with pytest.raises(PictureError, match='No data for Reward, KL of the dashboard "GRPO run"'):
            check_data("GRPO run", [row, (panel(3, title="Reward"), []), full, (panel(4, title="KL"), [])])

    def test_those_of_faults_are_in_the_dashboards(self) -> None:
        assert {
            query.panel for name in ("grpo-run", "grpo-fleet") for query in queries_of(read_dashboard(name))
        } >= OF_FAULTS


class TestLayout:
    @pytest.mark.parametrize(
        ("rows", "identities"), [((OVERVIEW,), [1]), (("Speed",), [4, 5]), (("Learning", OVERVIEW), [1, 2, 3])]
    )
    def test_rows(self, rows: tuple[str, ...], identities: list[int]) -> None:
        assert [each["id"] for each in panels_of(DASHBOARD, rows)] == identities

    def test_a_row_that_was_renamed_is_missed(self) -> None:
        with pytest.raises(LookupError, match="GRPO run has no row Fleet"):
            panels_of(DASHBOARD, ("Speed", "Fleet"))

    @pytest.mark.parametrize("choice", OF_THE_RUN + OF_ALL_RUNS, ids=lambda choice: choice.file)
    def test_chosen_rows_are_there(self, choice: Choice) -> None:
        assert len(panels_of(read_dashboard(choice.dashboard), choice.rows)) > len(choice.rows)

    def test_lines_move_together_and_share_the_width_of_what_is_left_out(self) -> None:
        panels = [
            panel(1, 0, 30),
            panel(2, 8, 30),
            panel(3, 16, 30),
            panel(4, 0, 50, 24),
            panel(5, 0, 70),
            panel(6, 8, 70, 4),
        ]
        moved = {each["id"]: each["gridPos"] for each in moved_together(panels, {"2", "4"})}
        assert moved == {
            1: {"x": 0, "y": 0, "w": 12, "h": 8},
            3: {"x": 12, "y": 0, "w": 12, "h": 8},
            5: {"x": 0, "y": 8, "w": 8, "h": 8},
            6: {"x": 8, "y": 8, "w": 4, "h": 8},
        }


def test_variables_are_told_by_their_labels() -> None:
    of_run = {"namespace": "grpo-demo", "run": "demo", "window": "1m"}
    told = variables_of(read_dashboard("grpo-run"), of_run)
    assert told == [("Namespace", "grpo-demo"), ("Run", "demo"), ("Window", "1m")]
    assert variables_of(read_dashboard("grpo-fleet"), {"namespace": ".*"}) == [("Namespace", "All")]


def test_a_terminal_is_as_wide_as_its_longest_line_and_loads_nothing() -> None:
    svg = picture_of("\x1b[1mreward\x1b[0m  0.7   \n" + "x" * 100 + "\n", "kubectl grpo top demo")
    assert "kubectl&#160;grpo&#160;top&#160;demo" in svg
    assert "x" * 100 in svg
    assert "@font-face" not in svg
    assert "url(http" not in svg


def test_the_moment_is_one_of_the_last_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    typed: list[tuple[str, ...]] = []

    class Cluster:
        def within(self, _: str) -> "Cluster":
            return self

        def __call__(self, *arguments: str) -> None:
            typed.append(arguments)

    def printed(_: Cluster, *command: str) -> str:
        typed.append(command)
        return "step 34/40"

    monkeypatch.setattr(moment, "local_cluster", Cluster)
    monkeypatch.setattr(moment, "printed_in_colour", printed)
    seen = Moment()
    for step in range(41):
        progress = {"progress": {"step": step, "maxSteps": 40}} if step else {}
        metadata = {"name": "demo", "creationTimestamp": "2026-11-28T12:00:00Z"}
        seen.look({"metadata": metadata, "status": progress})
        assert bool(seen.top) is (step >= 34)
    assert [words[0] for words in typed] == ["apply", "top"]


def test_the_lock_file_has_hashes_and_no_addresses() -> None:
    packages = json.loads((SOURCES / "package-lock.json").read_text())["packages"]
    assert all("integrity" in package for name, package in packages.items() if name)
    assert not any("resolved" in package for package in packages.values())
