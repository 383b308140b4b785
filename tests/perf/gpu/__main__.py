"""`python -m perf.gpu`: all measurements, one after the other, printed as they come and written to build/bench/gpu.json.

Each is a process of its own with a time limit, so that none takes the others with it. It judges nothing.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from grpo_contract import environment
from harness.daemons import WITH_THE_TEST, free_port
from harness.layout import ROOT
from perf.gpu.table import table
from perf.result import Figures, write
from trainer.learner_pod import ONE_RANK

RESULT: Final = ROOT / "build" / "bench" / "gpu.json"
LIMITS_S: Final = {"machine": 60, "sizes": 90, "ours": 180, "stock": 180, "changes": 240, "transfers": 240}
"""By module. Most of it is a process's start; a step takes a second or two."""
TAIL_CHARACTERS: Final = 1500
LEARNERS: Final = ("ours", "stock")
WEIGHTS: Final = ("changes", "transfers")
MEASURED: Final = ("learner", "overlap", "changes", "transfers")
"""overlap needs the learner's figures."""
STALENESS: Final = (0, 1)
"""Where generation takes as long as learning, and so overlap is worth most."""


@dataclass(frozen=True)
class Measurement:
    module: str
    size: str | None = None
    round: int | None = None
    max_staleness: int | None = None

    @property
    def name(self) -> dict[str, str | int]:
        named = {
            "measurement": self.module,
            "size": self.size,
            "round": self.round,
            "max_staleness": self.max_staleness,
        }
        return {key: value for key, value in named.items() if value is not None}


def main() -> None:
    parser = argparse.ArgumentParser(prog="perf.gpu", description=__doc__)
    parser.add_argument("--sizes", nargs="+", default=["0.5B", "1.5B"], help="of the models: tiny, 0.5B, 1.5B")
    parser.add_argument("--rounds", type=int, default=2, help="of our learner and TRL's, one after the other")
    parser.add_argument("--measure", nargs="+", default=list(MEASURED), help=", ".join(MEASURED))
    parser.add_argument("--within-s", type=float, default=1800, help="what has not begun by then is left out")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started ends
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), time.monotonic() + arguments.within_s)
        for measurement in measurements(arguments.sizes, arguments.rounds, arguments.measure):
            bench.run(measurement)
    say(table(bench.figures["rows"]))


def measurements(sizes: Sequence[str], rounds: int, wanted: Sequence[str]) -> Iterator[Measurement]:
    """Whoever is first in one round is second in the next: what the machine does meanwhile favours neither."""
    yield Measurement("machine")
    for size in sizes:
        yield Measurement("sizes", size)
        for number in range(rounds if "learner" in wanted else 0):
            for module in LEARNERS if number % 2 == 0 else reversed(LEARNERS):
                yield Measurement(module, size, number + 1)
        for max_staleness in STALENESS if "overlap" in wanted else ():
            yield Measurement("ours", size, max_staleness=max_staleness)
        for module in WEIGHTS:
            if module in wanted:
                yield Measurement(module, size)


class Bench:
    def __init__(self, folder: Path, ends_at: float) -> None:
        self._folder = folder
        self._ends_at = ends_at
        (folder / "token").write_text("token")
        self.figures: Figures = {"machine": {}, "rows": [], "missing": []}

    def run(self, measurement: Measurement) -> None:
        """Its figures, or why there are none, are in the result at once."""
        limit_s = min(LIMITS_S[measurement.module], self._ends_at - time.monotonic())
        started = time.monotonic()
        found = self._measured(measurement, limit_s) if limit_s > 0 else "no time is left"
        told = {**measurement.name, "process_s": round(time.monotonic() - started, 1)}
        if isinstance(found, str):
            self.figures["missing"].append(told | {"why": found})
        elif measurement.module == "machine":
            self.figures["machine"] = found
        elif found:
            self.figures["rows"].append(told | found)
        write(self.figures, RESULT)
        say(json.dumps(told | ({"why": found} if isinstance(found, str) else found)))

    def _measured(self, measurement: Measurement, limit_s: float) -> Figures | str:
        if measurement.max_staleness is not None and self._learn_s(measurement) is None:
            return "nothing is known of how long learning takes, which --measure learner finds out"
        out, log = self._folder / "figures.json", self._folder / "log"
        out.unlink(missing_ok=True)
        program = [sys.executable, "-m", f"perf.gpu.{measurement.module}", *self._arguments(measurement, out)]
        with log.open("wb") as output:
            code = self._run(program, output, limit_s)
        if code != 0:
            end = f"exit code {code}" if code is not None else f"not done after {limit_s:.0f} s"
            return f"{end}: {log.read_text(errors='replace')[-TAIL_CHARACTERS:]}"
        figures: Figures = json.loads(out.read_text()) if out.exists() else {}
        return figures

    def _arguments(self, measurement: Measurement, out: Path) -> list[str]:
        if measurement.size is None:
            return [str(out)]
        model = [measurement.size, str(self._folder / measurement.size)]
        if measurement.module == "sizes":
            return model
        pace = [] if measurement.max_staleness is None else [self._learn_s(measurement), measurement.max_staleness]
        return [*model, str(out), *map(str, pace)]

    def _learn_s(self, measurement: Measurement) -> float | None:
        """Of our learner of that size, whose generator answered at once, if it has figures."""
        rows = (row for row in self.figures["rows"] if is_of_same_learner(row, measurement))
        return next((row["phase_s"]["learn"] for row in rows), None)

    def _run(self, program: Sequence[str], output: IO[bytes], limit_s: float) -> int | None:
        """The exit code; None: it took too long."""
        process = subprocess.Popen(
            [*WITH_THE_TEST, *program], env=self._environment(), stdout=output, stderr=output, start_new_session=True
        )
        try:
            return process.wait(limit_s)
        except subprocess.TimeoutExpired:
            return None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def _environment(self) -> dict[str, str]:
        """Of the only rank of a run."""
        own = {environment.TOKEN_FILE: str(self._folder / "token"), "HF_HUB_OFFLINE": "1", "HF_HOME": str(self._folder)}
        return os.environ | ONE_RANK | own | {"MASTER_PORT": str(free_port())}


def is_of_same_learner(row: Figures, measurement: Measurement) -> bool:
    return bool(row["measurement"] == measurement.module and row["size"] == measurement.size)


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
