"""`python -m harness.layers verify test-unit ...`: run these targets one after the other and print one summary.

A target that fails does not keep the later ones from running. Ends with exit code 1 when any failed.
"""

import re
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

# "== 3 failed, 20 passed, 1 skipped in 7.32s ==", the last line of pytest's.
SUMMARY = re.compile(r"\bin \d+\.\d+s\b")
# "SKIPPED [1] tests/unit/test_x.py:30: why", one line for each reason, before that line.
SKIP = re.compile(r"^SKIPPED \[\d+\] (.*)$", re.MULTILINE)
LONGEST_LAYER_S = 3600
"""With nothing built and nothing cached. What hangs ends, and counts as failed."""
LAST_LINES_S = 5
"""For what is still in the pipe when a layer has ended."""
COUNT = re.compile(r"(\d+) (passed|failed|error|skipped)")


@dataclass(frozen=True)
class Counts:
    passed: int = 0
    failed: int = 0
    skipped: int = 0


@dataclass(frozen=True)
class Result:
    layer: str
    counts: Counts
    seconds: float
    skips: tuple[str, ...] = ()
    """Where and why: a layer is green also where these tests have shown nothing."""
    has_left_processes: bool = False
    """Something that it started has outlived it."""


class Output(threading.Thread):
    """Prints what a process says. A thread, because what the process has left behind may hold the pipe long after its end."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        super().__init__(daemon=True)
        self._process = process
        self.summary = ""
        """The last line that looks like pytest's."""
        self.skips: list[str] = []

    def run(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            print(line, end="", flush=True)
            self.summary = line if SUMMARY.search(line) else self.summary
            self.skips += SKIP.findall(line)


def main() -> None:
    results = [run_target(target) for target in sys.argv[1:]]
    print("", *summary_of(results), sep="\n", flush=True)
    sys.exit(1 if total_of(results).failed else 0)


def run_target(target: str) -> Result:
    layer = target.removeprefix("test-")
    print(f"\n==== {layer} ====", flush=True)
    started = time.monotonic()
    command = ["timeout", "--kill-after=60", str(LONGEST_LAYER_S), "make", "--no-print-directory", target]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    output = Output(process)
    output.start()
    process.wait()
    output.join(LAST_LINES_S)
    return Result(
        layer,
        counts_of(output.summary, process.returncode),
        time.monotonic() - started,
        tuple(output.skips),
        output.is_alive(),
    )


def summary_of(results: Sequence[Result]) -> list[str]:
    """Lines for a person: a table, its totals, and why tests were skipped."""
    total = total_of(results)
    return [
        "layer      passed  failed  skipped  seconds",
        *map(_row, results),
        f"{total.passed} passed, {total.failed} failed, {total.skipped} skipped",
        *(f"skipped in {result.layer}: {skip}" for result in results for skip in result.skips),
        *(f"{result.layer} has left processes that hold its output" for result in results if result.has_left_processes),
    ]


def _row(result: Result) -> str:
    counts = result.counts
    return f"{result.layer:<10} {counts.passed:6} {counts.failed:7} {counts.skipped:8} {result.seconds:8.0f}"


def total_of(results: Sequence[Result]) -> Counts:
    return Counts(
        *(sum(getattr(result.counts, name) for result in results) for name in ("passed", "failed", "skipped"))
    )


def counts_of(summary: str, exit_code: int) -> Counts:
    """What ends without a summary counts as one: checks that are no tests, or tests that could not even be collected."""
    found = {word: int(number) for number, word in COUNT.findall(summary)}
    failed = found.get("failed", 0) + found.get("error", 0)
    if exit_code and not failed:
        failed = 1
    passed = found.get("passed", 0) if found else int(not failed)
    return Counts(passed, failed, found.get("skipped", 0))


if __name__ == "__main__":
    main()
