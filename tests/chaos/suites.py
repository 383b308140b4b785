"""Faults that tests play without a cluster of pods: to hit each write of the operator, or one bit of a stream, takes more than a
blow from outside. Each suite is run as often as the other faults are struck."""

import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any, Final

from chaos.report import COLUMNS
from harness.installation import trainer_environment
from harness.layout import ROOT, TESTS

LONGEST_S: Final = 1200
IN_A_NETWORK_OF_ITS_OWN: Final = ("unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$0" "$@"')
"""As the Makefile runs these tests: their ports are fixed."""


@dataclass(frozen=True)
class Suite:
    fault: str
    file: str
    """Below tests/."""
    word: str = ""
    """In the names of its tests."""

    @property
    def python(self) -> str:
        is_trainers = self.file.startswith("trainer/")
        return str(trainer_environment() / "bin" / "python") if is_trainers else sys.executable


SUITES: Final = (
    Suite("operator killed at each write", "simulated/test_faults.py", "killed_at_each_write"),
    Suite("one of ten requests to the API server fails", "simulated/test_faults.py", "one_request_in_ten"),
    Suite("news of the API server late", "simulated/test_faults.py", "news_are_late"),
    Suite("clock of the operator an hour off", "simulated/test_clock.py"),
    Suite("clock of a learner an hour off", "trainer/test_resumed_numbers.py", "1h"),
    Suite("checkpoint volume full", "trainer/test_unwritten_checkpoints.py"),
    Suite("weight stream broken, a bit of it flipped", "trainer/test_weights_sync.py", "broken_stream"),
)


def run(suite: Suite, times: int) -> dict[str, Any]:
    """A row of the report."""
    ends = [_run_once(suite) for _ in range(times)]
    broken = [words for _, words in ends if words]
    return {
        "fault": suite.fault,
        "times": times,
        **dict.fromkeys(COLUMNS, ()),
        "tests": f"tests/{suite.file}",
        "seconds": [round(seconds, 1) for seconds, _ in ends],
        "result": "; ".join(broken) or "ok",
    }


def _run_once(suite: Suite) -> tuple[float, str]:
    """Seconds, and what failed."""
    started = time.monotonic()
    command = [*IN_A_NETWORK_OF_ITS_OWN, suite.python, "-m", "pytest", "-q", "-m", "", str(TESTS / suite.file)]
    try:
        done = subprocess.run([*command, "-k", suite.word], cwd=ROOT, capture_output=True, text=True, timeout=LONGEST_S)
    except subprocess.TimeoutExpired:
        return time.monotonic() - started, f"not done within {LONGEST_S} s"
    print(f"{suite.fault}: {_last_line(done.stdout)}", flush=True)
    return time.monotonic() - started, "" if done.returncode == 0 else _failures(done.stdout)


def _last_line(output: str) -> str:
    return output.strip().rpartition("\n")[2]


def _failures(output: str) -> str:
    failed = [line for line in output.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return "; ".join(failed) or _last_line(output)
