"""`python -m perf.startup_cost`, in the trainer's environment: seconds from a container's start to the first training step.

A real generator with a tiny model, then real learners one after the other, each until its first step is done. Prints the
parts that learner 0 tells in its log and writes them to build/bench/startup.json. It judges nothing.
"""

import argparse
import os
import re
import signal
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from grpo_contract.metrics import StartupPart
from harness.layout import ROOT
from perf.result import Figures, write
from trainer.learner_inputs import learner_config, write_problems
from trainer.run_with_generator import run_with_generator
from trainer.running_generator import RunningGenerator, run_config
from trainer.tiny_model import write_tiny_model

RESULT = ROOT / "build" / "bench" / "startup.json"
STARTS = 3
START_S = 600
LINE = "the first step was done"

Parts = dict[StartupPart, float]


def main() -> None:
    parser = argparse.ArgumentParser(prog="perf.startup_cost", description=__doc__)
    parser.add_argument("--starts", type=int, default=STARTS, help="learners one after the other; figures are medians")
    parser.add_argument("--processes", type=int, default=1, help="ranks of a learner")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started ends
    with tempfile.TemporaryDirectory() as folder:
        _measure(Path(folder), arguments.starts, arguments.processes)


def _measure(folder: Path, starts: int, processes: int) -> None:
    model = write_tiny_model(folder / "model")
    _say("a generator, until vLLM answers")
    started = time.monotonic()
    generator = RunningGenerator(folder, run_config({"model_name_or_path": str(model)}), "generator-0")
    try:
        generator.wait_until_it_answers()
        generator_s = time.monotonic() - started
        _say(f"it took {generator_s:.1f} s")
        seen = [_start(generator, folder / f"start-{number}", model, processes) for number in range(starts)]
    finally:
        generator.kill()
    values = figures(generator_s, seen)
    write(values, RESULT)
    _say(f"written to {RESULT.relative_to(ROOT)}\n\n{table(values)}")


def _start(generator: RunningGenerator, folder: Path, model: Path, processes: int) -> Parts:
    folder.mkdir()
    config = learner_config(
        model, write_problems(folder / "train.jsonl"), processes=processes, max_steps=1, reward_funcs=["accuracy"]
    )
    with run_with_generator(generator, folder, config) as pod:
        assert pod.wait(START_S) == 0, pod.tail()
        parts = parts_told(pod.log.read_text())
    _say(f"{folder.name}: {sum(parts.values()):.1f} s")
    return parts


def parts_told(log: str) -> Parts:
    """Of the learner's own line."""
    (line,) = (line for line in log.splitlines() if LINE in line)
    found = dict(re.findall(r"(\w+) (\d+\.\d)(?=,|$)", line))
    return {part: float(found[part]) for part in StartupPart}


def figures(generator_s: float, starts: list[Parts]) -> Figures:
    """Medians of each part and of the whole; shares are those of the parts' sum."""
    parts = {part.value: round(median(start[part] for start in starts), 1) for part in StartupPart}
    whole_s = sum(parts.values())
    return {
        "starts": len(starts),
        "first_step_done_s": round(median(sum(start.values()) for start in starts), 1),
        "part_s": parts,
        "part_share": {part: round(seconds / whole_s, 2) for part, seconds in parts.items()},
        "generator_answers_s": round(generator_s, 1),
    }


def table(values: Figures) -> str:
    rows = [
        f"{part:<26}{seconds:>8.1f} s{values['part_share'][part]:>8.0%}" for part, seconds in values["part_s"].items()
    ]
    whole = f"{'first step done, median':<26}{values['first_step_done_s']:>8.1f} s"
    return "\n".join([*rows, whole, f"{'generator answers':<26}{values['generator_answers_s']:>8.1f} s"])


def _say(text: str) -> None:
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC, load {os.getloadavg()[0]:.1f}: {text}", flush=True)


if __name__ == "__main__":
    main()
