"""`python -m perf.operator_cost`: what the operator itself costs, on simulated clusters of this machine.

Prints the figures and writes them to build/bench/operator.json. It judges nothing; see docs/operator-cost.md.
"""

import argparse
import os
import signal
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from harness.layout import ROOT
from perf.measurement import Burst, measure_burst, measure_one_by_one, measure_raw_burst
from perf.report import figures, table
from perf.result import write
from perf.status_writes import measure_status_writes

RESULT = ROOT / "build" / "bench" / "operator.json"
SIZES = (200, 1000)
SINGLE_RUNS = 30


def main() -> None:
    parser = argparse.ArgumentParser(prog="perf.operator_cost", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="runs at once, one burst for each number")
    parser.add_argument("--runs", type=int, default=SINGLE_RUNS, help="runs one by one")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that all daemons end
    with tempfile.TemporaryDirectory() as folder:
        os.environ["KUBECACHEDIR"] = str(Path(folder, "kubectl"))  # each new cluster has another address
        _measure(Path(folder), arguments.runs, arguments.sizes)


def _measure(folder: Path, runs: int, sizes: list[int]) -> None:
    _say(f"{runs} runs one by one")
    one_by_one = measure_one_by_one(folder / "single", runs)
    _say("writes of a status")
    status_write_s = measure_status_writes(folder / "status")
    bursts: dict[int, Burst] = {}
    raw_s: dict[int, float] = {}
    for size in sizes:
        _say(f"{size} at once, by the raw creator")
        raw_s[size] = measure_raw_burst(folder / f"raw-{size}", size)
        _say(f"{size} at once, by the operator (the raw creator took {raw_s[size]:.1f} s)")
        bursts[size] = measure_burst(folder / f"burst-{size}", size, is_idle_measured=size == sizes[0])
        values = figures(one_by_one, status_write_s, bursts, raw_s)
        write(values, RESULT)  # after each, for the next takes longer and may fail
        _say(f"written to {RESULT.relative_to(ROOT)}\n\n{table(values)}")


def _say(text: str) -> None:
    """With the load of the machine: of figures taken beside other work only their ratio to the raw creator means much."""
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC, load {os.getloadavg()[0]:.1f}: {text}", flush=True)


if __name__ == "__main__":
    main()
