"""The containers of a benchmark's pod around that of the benchmark.

`python -m grpo_benchmark prepare MODEL RESULTS`: see whether the model is there, and make the folder for results.
`python -m grpo_benchmark report RESULTS [MODEL ...]`: tell the operator what was found, then remove each MODEL.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

from grpo_benchmark.results import read_scores
from grpo_contract.failure import PodReason, UserError
from grpo_contract.paths import listing
from grpo_contract.pod import end_with_mistake, report_scores


def main() -> int:
    parser = argparse.ArgumentParser(description="Before and after a benchmark.")
    commands = parser.add_subparsers(required=True)
    preparing = commands.add_parser("prepare")
    preparing.set_defaults(run=prepare)
    preparing.add_argument("model", type=Path)
    preparing.add_argument("results", type=Path)
    reporting = commands.add_parser("report")
    reporting.set_defaults(run=report)
    reporting.add_argument("results", type=Path)
    reporting.add_argument("models", type=Path, nargs="*", help="folders that were there for this benchmark alone")
    options = parser.parse_args()
    try:
        options.run(options)
    except UserError as error:
        return end_with_mistake(error)
    return 0


def prepare(options: argparse.Namespace) -> None:
    """
    Raises:
        UserError: there is no such model.
    """
    if not options.model.is_dir():
        raise UserError(
            PodReason.BENCHMARK_ERROR,
            f"{options.model} is not there any more: where benchmarks are slower than checkpoints, the oldest models give way; "
            "raise save_steps in another run, or have fewer benchmarks.",
        )
    options.results.mkdir(parents=True, exist_ok=True)


def report(options: argparse.Namespace) -> None:
    """
    Raises:
        UserError: nothing was found.
    """
    scores = read_scores(options.results)
    if not scores.scores:
        raise UserError(
            PodReason.BENCHMARK_ERROR,
            f'benchmarks.command of the operator\'s chart ended well, and left no JSON file with "results" in '
            f"{options.results}, which holds {listing(options.results)}: have it write there, to the folder in GRPO_RESULTS.",
        )
    print(json.dumps(scores.scores, indent=1), flush=True)
    report_scores(scores)
    for model in options.models:
        remove(model)


def remove(model: Path) -> None:
    try:
        shutil.rmtree(model)
    except FileNotFoundError:
        pass
    except OSError as error:
        print(f"{model} cannot be removed and stays on the volume: {error}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
