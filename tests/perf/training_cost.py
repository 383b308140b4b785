"""`python -m perf.training_cost`, in the trainer's environment: what a step takes, on the CPUs of this machine.

Prints tables and writes them to build/bench/train.json. It judges nothing; see docs/performance.md.
"""

import argparse
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from harness.layout import ROOT
from perf.learner_steps import Step
from perf.limit_rig import LimitRig
from perf.real_rig import Mode, real_rig
from perf.result import Figures, write
from perf.training_report import WARM_UP, Training, learn_s, limit_row, real_rows, steady, table, times_learning

RESULT = ROOT / "build" / "bench" / "train.json"
RATIOS = ("1:4", "1:2", "1:1", "2:1", "4:1")
STALENESS = (0, 1, 2)
FEWEST_STEPS = 1 + WARM_UP + 3 * max(STALENESS) + 1
"""So that `steady` leaves some of the largest staleness."""
SYNCED_GENERATORS = (1, 2, 4)
FIRST_PACE_S = 0.1
"""A batch, where it is not yet known how long learning takes."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="perf.training_cost", description=__doc__)
    parser.add_argument("--ranks", type=int, nargs="*", default=(1, 2), help="of learners with paced generators")
    parser.add_argument("--ratios", nargs="+", default=RATIOS, help="generation to learning")
    parser.add_argument("--steps", type=int, default=16, help="of each of their runs")
    parser.add_argument(
        "--parameters", type=int, nargs="*", default=(64_000_000,), help="of models whose weights generators are given"
    )
    parser.add_argument("--seeds", type=int, default=2, help="how many trainings in each mode")
    parser.add_argument("--modes", nargs="+", type=Mode, default=list(Mode), help=", ".join(Mode))
    parser.add_argument("--training-steps", type=int, default=40, help="of each training")
    arguments = parser.parse_args()
    if arguments.steps < FEWEST_STEPS:
        parser.error(f"--steps: of fewer than {FEWEST_STEPS}, none would be left that tells of those to come")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started ends
    report = Report()
    with tempfile.TemporaryDirectory() as folder:
        for ranks in arguments.ranks:
            _measure_limit(Path(folder, f"limit-{ranks}"), report, ranks, arguments.ratios, arguments.steps)
        for parameters in arguments.parameters:
            _measure_sync(report, parameters)
        if arguments.seeds:
            _measure_real(Path(folder, "real"), report, arguments.modes, arguments.seeds, arguments.training_steps)


class Report:
    """Written after each part, for the next may fail."""

    def __init__(self) -> None:
        self.values: Figures = {"machine": machine(), "limit": [], "sync": [], "real": []}

    def add(self, part: str, rows: Sequence[Figures]) -> None:
        self.values[part] += rows
        write(self.values, RESULT)
        _say(f"{part}, written to {RESULT.relative_to(ROOT)}\n\n{table(self.values[part])}\n")


def _measure_limit(folder: Path, report: Report, ranks: int, ratios: Sequence[str], num_steps: int) -> None:
    folder.mkdir()
    rig = LimitRig(folder, ranks)

    def steps(name: str, generate_s: float, max_staleness: int) -> Sequence[Step]:
        return steady(rig.steps(name, generate_s, max_staleness, num_steps), max_staleness)

    first_learn_s = learn_s(steps("first", FIRST_PACE_S, 0))
    _say(f"{ranks} ranks learn from a batch in {first_learn_s:.2f} s")
    for ratio in ratios:
        generate_s = first_learn_s * times_learning(ratio)
        for staleness in STALENESS:
            run = steps(f"{ratio}-{staleness}", generate_s, staleness)
            if staleness == 0:
                alone_s = learn_s(run)
            report.add("limit", [limit_row(ranks, ratio, staleness, run, generate_s, alone_s)])


def _measure_sync(report: Report, parameters: int) -> None:
    from perf import weight_sync  # and vLLM, which takes seconds and memory

    training = weight_sync.Training(parameters)
    _say(f"weights of {training.num_parameters:,} parameters to copying generators, and to vLLM")
    report.add("sync", weight_sync.rows(training, SYNCED_GENERATORS))
    report.add("sync", weight_sync.vllm_rows(training))


def _measure_real(folder: Path, report: Report, modes: Sequence[Mode], num_seeds: int, num_steps: int) -> None:
    folder.mkdir()
    _say("the demo's model, and a generator until vLLM answers")
    trainings: dict[str, list[Training]] = {mode: [] for mode in modes}
    with real_rig(folder, num_steps) as rig:
        for seed in range(num_seeds):
            for mode in modes:  # in turns, so that what else the machine does meets all of them
                _say(f"seed {seed} of {num_seeds}, {mode}")
                trainings[mode].append(rig.train(mode, seed).without_first(WARM_UP))
    report.add("real", real_rows(trainings))


def machine() -> Figures:
    names = {
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if "model name" in line
    }
    return {
        "processor": ", ".join(sorted(names)) or platform.machine(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
    }


def _say(text: str) -> None:
    """With the load of the machine: figures taken beside other work mean little."""
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC, load {os.getloadavg()[0]:.1f}: {text}", flush=True)


if __name__ == "__main__":
    main()
