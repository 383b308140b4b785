"""What pods write to their logs, and what people read of it."""

import io
import json
import logging
import os
import subprocess
import sys
from typing import Any, Final

import pytest

from grpo_contract import environment, logs
from grpo_contract.log_entry import entry_of, readable

POD: Final = {environment.RUN: "math", environment.ATTEMPT: "2", environment.POD_NAME: "math-learner-2-0"}
SPEAKER: Final = {"run": "math", "attempt": 2, "role": "learner", "pod": "math-learner-2-0"}
LEARNER: Final = """
import logging, sys, warnings
from grpo_trainer.instruments.logs import STEP, set_up_logging

set_up_logging()
logging.getLogger("grpo_trainer.worker").info("loading")
STEP.number = 7
print("scored", 3, "completions")
print("half of a line", end="")
sys.stdout.flush()
print("10%\\r20%\\r30%\\r")
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
    for name, value in (POD | {environment.LOGS: logs.JSON}).items():
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
    return [json.loads(line) for line in lines_of(program, **POD, **{environment.LOGS: logs.JSON}, **variables)]


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
        line = said(2, levelname="ERROR", msg="failed\nbadly", exc_info=sys.exc_info(), created=1764000000.0, msecs=0)
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
        ("trl", "news", 7),
    ]
    assert (told[-1]["logger"], told[-1]["level"]) == ("py.warnings", "WARNING")
    assert all(entry.items() >= (SPEAKER | {"rank": 0}).items() for entry in told)


def test_another_rank_says_what_is_printed_and_what_is_wrong() -> None:
    told = entries_of(LEARNER, RANK="3")
    assert [entry["logger"] for entry in told] == ["stdout", "stdout", "stdout", "trl", "py.warnings"]
    assert {entry["rank"] for entry in told} == {3}


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
