"""What pods write to their logs, and what people read of it."""

import io
import json
import logging
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest

from grpo_contract import environment, logs
from grpo_contract.log_entry import entry_of, readable
from grpo_trainer.instruments.logs import STEP
from grpo_trainer.rewards.processes.messages import Call, Training
from grpo_trainer.rewards.processes.worker import Caller

POD: Final = {environment.RUN: "math", environment.ATTEMPT: "2", environment.POD_NAME: "math-learner-2-0"}
SPEAKER: Final = {"run": "math", "attempt": 2, "role": "learner", "pod": "math-learner-2-0"}
SET_UP: Final = """
import json, logging, logging.config, os, sys, threading, traceback, warnings
from grpo_trainer.instruments.logs import STEP, set_up_logging

set_up_logging()
"""
LEARNER: Final = f"""{SET_UP}
logging.getLogger("grpo_trainer.worker").info("loading")
STEP.number = 7
print("scored", 3, "completions")
print("half of a line", end="")
sys.stdout.flush()
for share in (10, 20, 30):
    print(f"\\r{{share}}%", end="", flush=True)
print("\\r")
print("to stderr", file=sys.stderr)
logging.getLogger("trl").info("no news")
logging.getLogger("trl").warning("news")
warnings.warn("old")
"""
GENERATOR: Final = """
from grpo_generator.log import set_up_logging, tell

set_up_logging()
tell("(EngineCore pid=12) ERROR 11-24 05:33:25 [core.py:900] ValueError: no such model")
tell("INFO 11-24 05:33:26 [loader.py:1] loaded")
tell("Traceback (most recent call last):")
"""


@pytest.fixture
def in_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (POD | {environment.LOGS: environment.LOGS_AS_JSON}).items():
        monkeypatch.setenv(name, value)


def said(rank: int | None = None, **record: Any) -> str:
    """By a process of a learner pod."""
    out = io.StringIO()
    logs.handler(out, "learner", "%(levelname)s %(message)s", rank).handle(logging.makeLogRecord(record))
    return out.getvalue()


def lines_of(program: str, **variables: str) -> list[str]:
    env = {name: value for name, value in os.environ.items() if name not in (*POD, environment.LOGS, "RANK")}
    done = subprocess.run(
        [sys.executable, "-c", program], env=env | variables, capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.splitlines()


def entries_of(program: str, **variables: str) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for line in lines_of(program, **POD, **{environment.LOGS: environment.LOGS_AS_JSON}, **variables)
    ]


@pytest.mark.usefixtures("in_pod")
def test_an_entry_says_who_says_it() -> None:
    record: dict[str, Any] = {
        "name": "a.b",
        "levelname": "WARNING",
        "msg": "%d of ä",
        "args": (3,),
        "created": 1764000000.25,
        "msecs": 250,
    }
    assert json.loads(said(1, **record)) == {
        "time": "2025-11-24T16:00:00.250Z",
        "level": "WARNING",
        "logger": "a.b",
        "message": "3 of ä",
        **SPEAKER,
        "rank": 1,
    }
    assert "ä" in said(**record), "people search in them"


@pytest.mark.usefixtures("in_pod")
def test_an_entry_is_one_line_and_reads_as_many() -> None:
    try:
        int("of no use")
    except ValueError:
        line = said(
            2, name="a", levelname="ERROR", msg="failed\nbadly", exc_info=sys.exc_info(), created=1764000000.0, msecs=0
        )
    assert line.count("\n") == 1
    first, second, *trace = readable(line).splitlines()
    assert (first, second) == ("2025-11-24 16:00:00,000 ERROR [rank 2] failed", "badly")
    assert (trace[0], trace[-1]) == (
        "Traceback (most recent call last):",
        "ValueError: invalid literal for int() with base 10: 'of no use'",
    )


def test_by_hand_it_is_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(environment.LOGS, raising=False)
    assert said(levelname="INFO", msg="hello") == "INFO hello\n"
    loading, printed, *_ = lines_of(LEARNER, RANK="0")
    assert loading.endswith(" INFO loading")
    assert printed == "scored 3 completions"


@pytest.mark.parametrize(
    "line",
    [
        "",
        "Fatal Python error: Aborted",
        "{'a': 1}",
        '{"message": "of somebody else"}',
        '{"time": "yesterday", "level": "INFO", "message": "x"}',
        '{"time": "2026-11-28T22:21:57Z", "level": "INFO", "message": ["x"]}',
        '{"time": "2026-11-28T22:21:57Z", "level": "INFO", "mess',
    ],
)
def test_what_is_no_entry_stays_as_it_is(line: str) -> None:
    assert entry_of(line) is None
    assert readable(line) == line


def test_learners_say_rank_and_step_also_of_what_is_printed() -> None:
    told = entries_of(LEARNER, RANK="0")
    assert [(entry["logger"], entry["message"].strip(), entry.get("step")) for entry in told][:-1] == [
        ("grpo_trainer.worker", "loading", None),
        ("stdout", "scored 3 completions", 7),
        ("stdout", "half of a line", 7),
        ("stdout", "30%", 7),
        ("stderr", "to stderr", 7),
        ("trl", "news", 7),
    ]
    assert (told[-1]["logger"], told[-1]["level"]) == ("py.warnings", "WARNING")
    assert all(entry.items() >= (SPEAKER | {"rank": 0}).items() for entry in told)


def test_another_rank_says_what_is_printed_and_what_is_wrong() -> None:
    told = entries_of(LEARNER, RANK="3")
    assert [entry["logger"] for entry in told] == ["stdout", "stdout", "stdout", "stderr", "trl", "py.warnings"]
    assert {entry["rank"] for entry in told} == {3}


@pytest.mark.parametrize(
    "setup",
    [
        "logging.basicConfig(stream=sys.stdout, force=True, level=logging.DEBUG)",
        "logging.basicConfig(stream=sys.stderr, force=True)",
        "logging.getLogger().addHandler(logging.StreamHandler(sys.stdout))",
        "logging.getLogger().handlers.clear()",
        "logging.disable(logging.CRITICAL)",
        'logging.config.dictConfig({"version": 1})',
        'sys.stdout.reconfigure(line_buffering=True, encoding="utf-8")',
        "assert (sys.stdout.name, sys.stdout.mode, sys.stdout.fileno()) == ('<stdout>', 'w', 1)",
        "os.environ.pop('TMPDIR', None)",
    ],
)
def test_what_is_printed_is_told_whatever_user_code_sets_up(setup: str) -> None:
    told = entries_of(f"{SET_UP}{setup}\nlogging.warning('logged')\nprint('printed')\n", RANK="0")
    assert [entry["message"] for entry in told if entry["logger"] == "stdout"][-1] == "printed"


def test_what_cannot_be_formatted_is_told_and_ends_nothing() -> None:
    program = f"""{SET_UP}
logging.info("%d", "no number")
logging.info({{"accuracy": 0.5, "rank": 9, "level": "x"}})
logging.info("who", extra={{"rank": 9, "run": "another"}})
print("half of a letter: \\ud83d")
print("after")
"""
    told = entries_of(program, RANK="1")
    assert [entry["message"] for entry in told] == ["half of a letter: \ud83d", "after"], "rank 1 speaks of warnings"
    told = entries_of(program, RANK="0")
    assert [entry["message"] for entry in told] == [
        "{'accuracy': 0.5, 'rank': 9, 'level': 'x'}",
        "who",
        "half of a letter: \ud83d",
        "after",
    ]
    assert {(entry["rank"], entry["run"], entry["level"]) for entry in told} == {(0, "math", "INFO")}


def test_threads_that_print_at_once_do_not_mix_their_words() -> None:
    program = f"""{SET_UP}
def say(word):
    for _ in range(300):
        print(word, word, word)
threads = [threading.Thread(target=say, args=(word,)) for word in ("one", "two")]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""
    told = [entry["message"] for entry in entries_of(program, RANK="0")]
    assert sorted(told) == ["one one one"] * 300 + ["two two two"] * 300


def test_a_long_line_without_an_end_is_told_in_parts() -> None:
    told = entries_of(f"{SET_UP}\nfor _ in range(20000): print('x', end='')\nsys.stdout.flush()", RANK="0")
    assert "".join(entry["message"] for entry in told) == "x" * 20000
    assert len(told) == 3


def test_long_entries_of_all_ranks_at_once_stay_whole(tmp_path: Path) -> None:
    """A pipe takes 4 KiB at once."""
    program = f"{SET_UP}\nfor number in range(40): logging.error('%d %s', number, 'x' * 20000)"
    env = os.environ | POD | {environment.LOGS: environment.LOGS_AS_JSON, "TMPDIR": str(tmp_path)}
    reading, writing = os.pipe()
    ranks = [
        subprocess.Popen([sys.executable, "-c", program], env=env | {"RANK": str(rank)}, stdout=writing)
        for rank in range(4)
    ]
    os.close(writing)
    with open(reading) as pipe:
        told = [json.loads(line) for line in pipe]
    assert [rank.wait(60) for rank in ranks] == [0] * 4
    assert Counter(entry["rank"] for entry in told) == dict.fromkeys(range(4), 40)


def test_what_a_reward_function_prints_is_of_the_step_that_it_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(STEP, "number", None)
    seen: list[int | None] = []

    def own(completions: list[str], **_: Any) -> list[float]:
        seen.append(STEP.number)
        return [1.0 for _ in completions]

    caller = Caller({"own": own})
    for global_step in (4, 5):
        call = Call("own", [1], {"completions": ["x"]}, Training({"global_step": global_step}, []))
        assert [outcome.scores for outcome in caller.outcomes(call)] == [[1.0]]
    assert seen == [5, 6]


def test_vllms_lines_become_entries() -> None:
    told = entries_of(GENERATOR)
    assert [(entry["level"], entry["logger"], entry["message"]) for entry in told] == [
        ("ERROR", "core.py:900", "(EngineCore pid=12) ValueError: no such model"),
        ("INFO", "loader.py:1", "loaded"),
        ("INFO", "vllm", "Traceback (most recent call last):"),
    ]
    assert {entry["role"] for entry in told} == {"generator"}


def test_vllms_lines_stay_as_they_are_by_hand() -> None:
    assert lines_of(GENERATOR) == [
        "(EngineCore pid=12) ERROR 11-24 05:33:25 [core.py:900] ValueError: no such model",
        "INFO 11-24 05:33:26 [loader.py:1] loaded",
        "Traceback (most recent call last):",
    ]
