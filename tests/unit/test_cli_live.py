"""What `kubectl grpo` says of runs on a cluster: golden texts, and the parts that they are made of.

After a change that is meant: `python -m unit.test_cli_live` writes the texts anew; read the difference.
"""

import io
import json
from datetime import timedelta
from pathlib import Path

import pytest
from rich.console import Console

from grpo_cli.live.history import Line, lines_of, steps_of
from grpo_cli.live.logs import as_entry, chosen, is_of_rank, merged, short_name
from grpo_cli.live.screen import as_dict, phases_of, picture
from grpo_cli.live.why import MOST_LINES, why
from grpo_cli.live.words import duration, sparkline
from unit.live_runs import EVENTS, HELD, METRICS, NOW, VIEWS, condition, log, pod, run_of

GOLDEN = Path(__file__).parent / "golden" / "live"


def why_text(case: str) -> str:
    return "\n".join(VIEWS[case].why) + "\n"


def top_text(case: str) -> str:
    screen = io.StringIO()
    Console(file=screen, width=140, highlight=False).print(picture(VIEWS[case], NOW))
    return "\n".join(line.rstrip() for line in screen.getvalue().splitlines()) + "\n"


@pytest.mark.parametrize("case", VIEWS)
def test_why(case: str) -> None:
    assert why_text(case) == (GOLDEN / f"why-{case}.txt").read_text()
    assert len(VIEWS[case].why) <= MOST_LINES


@pytest.mark.parametrize("case", VIEWS)
def test_top(case: str) -> None:
    assert top_text(case) == (GOLDEN / f"top-{case}.txt").read_text()


def test_top_for_programs() -> None:
    told = json.loads(json.dumps(as_dict(VIEWS["running"])))
    assert (told["namespace"], told["name"], told["phase"], told["attempt"]) == ("lab", "math", "Running", 2)
    assert told["phaseSeconds"] == {"generate": 7.0, "learn": 3.0}
    assert told["steps"][-1] == {
        "step": 70, "reward": 0.7, "accuracy": 0.35, "kl": 0.007, "loss": 0.004, "entropy": 0.0143, "seconds": 10.0
    }  # fmt: skip
    assert [pod["name"] for pod in told["pods"]] == [
        *("math-learner-2-0", "math-learner-2-1"),
        *("math-generator-0", "math-generator-1"),
    ]
    assert told["why"] == list(VIEWS["running"].why)


def test_a_pod_that_takes_its_time_to_start_is_no_trouble() -> None:
    trouble = EVENTS[0] | {"reason": "Unhealthy", "message": "Startup probe failed: connection refused"}
    run = run_of("Running", condition("Progressing", "True", "Training", "It makes steps."))
    assert not any("Startup" in line for line in why(run, [trouble], None, NOW))
    trouble |= {"message": "Readiness probe failed: connection refused"}
    assert any("Readiness" in line for line in why(run, [trouble], None, NOW))


def test_a_learner_that_says_nothing_is_told_of() -> None:
    (last,) = lines_of(log(steps=1, last_ago_s=301))
    told = why(run_of("Running", *HELD), [], last, NOW)
    assert told[1].startswith("Learner 0 has said nothing for 5 min; the last was: ")
    assert len(told) == 2, "no word of its pace"
    slow = run_of("Running", *HELD, progress={"step": 1, "secondsPerStep": 100.0})
    assert "It trains: a step takes 100 s." in why(slow, [], last, NOW)


def test_a_suspended_run_says_only_that() -> None:
    suspended = condition("Suspended", "True", "Suspended", "spec.suspend is true, and the run has no pods.")
    not_ready = condition("LearnersReady", "False", "Suspended", "spec.suspend is true.")
    told = why(run_of("Suspended", suspended, not_ready), [], None, NOW)
    assert told[1:] == ["Suspended: spec.suspend is true, and the run has no pods."]


def test_a_run_without_status() -> None:
    run = {"metadata": {"namespace": "lab", "name": "math"}}
    assert why(run, [], None, NOW) == ["lab/math: Pending, attempt 1"]


def test_a_step_that_was_made_again_counts_once() -> None:
    text = log(steps=3, last_ago_s=50) + log(steps=2, last_ago_s=10).replace("reward 0.02", "reward 0.5")
    steps = steps_of(lines_of(text))
    assert [step.step for step in steps] == [1, 2, 3]
    assert steps[1].numbers["reward"] == 0.5
    assert NOW - steps[1].at == timedelta(seconds=10) - timedelta(microseconds=123456)


def test_logs_of_several_pods_are_one_in_the_order_of_time() -> None:
    first, second = (lines_of(log(steps=2, last_ago_s=last_ago_s)) for last_ago_s in (10, 5))
    told = [(pod, line.message.split()[1]) for pod, line in merged({"a": first, "b": second})]
    assert told == [("a", "1/500"), ("b", "1/500"), ("a", "2/500"), ("b", "2/500")]


def test_logs_are_those_of_the_attempt() -> None:
    pods = [pod("generator", 1), pod("learner", 1), pod("learner", 0), pod("learner", 0, 1), pod("benchmark", 0)]
    names = [of["metadata"]["name"] for of in chosen(pods, 2, None)]
    assert names == ["math-learner-2-0", "math-learner-2-1", "math-generator-1"]
    assert [of["metadata"]["name"] for of in chosen(pods, 2, "generator")] == ["math-generator-1"]
    assert short_name(names[0], "math") == "learner-2-0"


@pytest.mark.parametrize(("text", "rank"), [("INFO step 1/2", 0), ("WARNING [rank 3] slow", 3)])
def test_a_line_is_of_one_rank(text: str, rank: int) -> None:
    line = Line(NOW, f"2026-11-28 12:00:00,000 {text}")
    assert [is_of_rank(line, of) for of in range(4)] == [of == rank for of in range(4)]


def test_what_no_process_says_of_itself_may_be_of_any_rank() -> None:
    line = Line(NOW, "Fatal Python error: Aborted")
    assert all(is_of_rank(line, rank) for rank in range(4))


@pytest.mark.parametrize(("rank", "says"), [(None, {}), (2, {"rank": 2})])
def test_an_entry_says_of_which_rank_it_is(rank: int | None, says: dict[str, int]) -> None:
    entry = {"time": "2026-11-28T12:00:00.100Z", "level": "INFO", "message": "step 3/9  loss 0.5  1.5 s", **says}
    (line,) = lines_of(f"2026-11-28T12:00:00.123456789Z {json.dumps(entry)}\n")
    assert [is_of_rank(line, of) for of in range(3)] == [of == rank for of in range(3)]
    assert line.message == entry["message"]
    assert line.text == f"2026-11-28 12:00:00,100 INFO {'[rank 2] ' if rank else ''}{entry['message']}"
    assert json.loads(as_entry("pod", line)) == entry
    (step,) = steps_of([line])
    assert (step.step, step.numbers) == (3, {"loss": 0.5, "seconds": 1.5})


@pytest.mark.parametrize("steers", ["\x1b[2J\x1b]0;gone\x07", "\x9b2J", "\r", "\u202e"])
def test_what_a_model_wrote_steers_no_terminal(steers: str) -> None:
    said = f"scored {steers}end"
    entry = {"time": "2026-11-28T12:00:00Z", "level": "INFO", "message": f"{said}\nof two"}
    for raw in (json.dumps(entry), f"INFO {said}"):
        line = Line(NOW, raw)
        assert "scored " in line.text
        assert line.message.endswith(("end", "end\nof two"))
        assert (line.text + line.message).replace("\n", "").isprintable()


def test_a_line_that_is_no_entry_becomes_one() -> None:
    (line,) = lines_of("2026-11-28T12:00:00Z Aborted")
    assert json.loads(as_entry("math-learner-2-0", line)) == {
        "time": "2026-11-28T12:00:00+00:00",
        "pod": "math-learner-2-0",
        "message": "Aborted",
    }


def test_an_evaluation_and_what_is_printed_are_no_steps() -> None:
    def entry(logger: str, message: str) -> str:
        said = {"time": "2026-11-28T12:00:00Z", "level": "INFO", "logger": logger, "message": message}
        return f"2026-11-28T12:00:00Z {json.dumps(said)}"

    report = "grpo_trainer.reports.step_report"
    log = [
        entry(report, "step 3/9  reward 0.5  logp difference 0.01  1.5 s"),
        entry(report, "step 3/9  evaluation: reward 0.7  length 130  45.3 s"),
        entry("stdout", "step 4/9  reward 7  1.0 s"),
        "2026-11-28T12:00:00Z on step 5/9  all fine  1.0 s",
        "2026-11-28T12:00:00Z step 6/9  all fine  reward 0.1  1.0 s",
    ]
    found = {step.step: step.numbers for step in steps_of(lines_of("\n".join(log)))}
    assert found == {3: {"reward": 0.5, "logp difference": 0.01, "seconds": 1.5}, 6: {"reward": 0.1, "seconds": 1.0}}


def test_a_line_ends_where_the_log_ends_it() -> None:
    assert [line.raw for line in lines_of("2026-11-28T12:00:00Z a\u2028b\x85c\n2026-11-28T12:00:00Z d\n")] == [
        "a\u2028b\x85c",
        "d",
    ]


def test_a_log_has_the_times_of_its_node() -> None:
    (line,) = lines_of("2026-11-28T07:00:00.123456789-05:00 hello")
    assert line.at == NOW + timedelta(microseconds=123456)


def test_phases_are_of_a_step() -> None:
    assert phases_of(METRICS) == {"generate": 7.0, "learn": 3.0}
    assert phases_of("") == phases_of("grpo_step_seconds_count 0.0\n") == {}


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h"),
        (11100, "3 h 5 min"),
        (86400, "1 d"),
        (187200, "2 d 4 h"),
        (-5, "0 s"),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("values", "signs"),
    [([], ""), ([1.0], "▄"), ([2.0, 2.0], "▄▄"), ([0.0, 0.5, 1.0], "▁▄█"), ([9.0, 9.0, 0.0, 7.0], "▁█")],
)
def test_sparklines(values: list[float], signs: str) -> None:
    assert sparkline(values, width=2 if len(values) == 4 else 8) == signs


if __name__ == "__main__":
    for name in VIEWS:
        (GOLDEN / f"why-{name}.txt").write_text(why_text(name))
        (GOLDEN / f"top-{name}.txt").write_text(top_text(name))
