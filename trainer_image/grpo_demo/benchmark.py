"""`python -m grpo_demo.benchmark FOLDER`: a benchmark for the local cluster, as the chart's `benchmarks.command`.

FOLDER is what grpo_demo.prepare made. The model answers the first of the held-out problems, as in grpo_demo.evaluate.
"""

import argparse
import json
import os
from pathlib import Path
from typing import Final

import torch

from grpo_contract import environment
from grpo_demo.evaluate import BATCH, accuracy_of

TASK: Final = "arithmetic"


def main() -> None:
    parser = argparse.ArgumentParser(description="Benchmark a run's model.")
    parser.add_argument("folder", type=Path)
    lines = (parser.parse_args().folder / "held_out.jsonl").read_text().splitlines()[:BATCH]
    assert os.environ[environment.BENCHMARK_TASKS] == TASK, "the only benchmark here"
    torch.set_num_threads(1)
    accuracy = accuracy_of(Path(os.environ[environment.BENCHMARK_MODEL]), [json.loads(line) for line in lines])
    results = Path(os.environ[environment.BENCHMARK_RESULTS])
    (results / f"{TASK}.json").write_text(json.dumps({"results": {TASK: {"accuracy": accuracy}}}))


if __name__ == "__main__":
    main()
