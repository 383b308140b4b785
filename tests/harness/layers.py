"""`python -m harness.layers unit api ...`: run the test layers one after the other and print one summary.

A failing layer does not keep the later ones from running. Ends with exit code 1 when any failed.
"""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

COUNTS = re.compile(r"(\d+) (passed|failed|error|errors)\b")


@dataclass(frozen=True)
class Result:
    layer: str
    passed: int
    failed: int
    seconds: float


def main() -> None:
    results = [run_layer(layer) for layer in sys.argv[1:]]
    print("\nlayer      passed  failed  seconds")
    for result in results:
        print(f"{result.layer:<10} {result.passed:6} {result.failed:7} {result.seconds:8.0f}")
    passed, failed = sum(result.passed for result in results), sum(result.failed for result in results)
    print(f"{passed} passed, {failed} failed", flush=True)
    sys.exit(1 if failed else 0)


def run_layer(layer: str) -> Result:
    print(f"\n==== {layer} ====", flush=True)
    started = time.monotonic()
    command = ["make", "--no-print-directory", f"test-{layer}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        last_line = ""
        for line in _lines(process):
            print(line, end="", flush=True)
            last_line = line if COUNTS.search(line) else last_line
    counts: dict[str, int] = {"passed": 0, "failed": 0}
    for number, word in COUNTS.findall(last_line):
        counts["passed" if word == "passed" else "failed"] += int(number)
    if process.returncode != 0 and counts["failed"] == 0:
        counts["failed"] = 1  # it did not get as far as a summary
    return Result(layer, counts["passed"], counts["failed"], time.monotonic() - started)


def _lines(process: subprocess.Popen[str]) -> Iterator[str]:
    assert process.stdout is not None
    return iter(process.stdout.readline, "")


if __name__ == "__main__":
    main()
