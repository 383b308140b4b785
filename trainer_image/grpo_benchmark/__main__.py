"""`python -m grpo_benchmark RESULTS [MODEL ...]`: tell the operator what lies in RESULTS, then remove each MODEL."""

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
    parser = argparse.ArgumentParser(description="Tell the operator what a benchmark wrote.")
    parser.add_argument("results", type=Path)
    parser.add_argument("models", type=Path, nargs="*", help="folders that were there for this benchmark alone")
    options = parser.parse_args()
    scores = read_scores(options.results)
    if not scores.scores:
        return end_with_mistake(no_results(options.results))
    print(json.dumps(scores.scores, indent=1), flush=True)
    report_scores(scores)
    for model in options.models:
        shutil.rmtree(model, ignore_errors=True)
    return 0


def no_results(folder: Path) -> UserError:
    found = listing(folder) if folder.is_dir() else "nothing"
    return UserError(
        PodReason.BENCHMARK_ERROR,
        f'benchmarks.command of the operator\'s chart ended well, and left no JSON file with "results" in {folder}, which '
        f"holds {found}: have it write there, to the folder in GRPO_RESULTS.",
    )


if __name__ == "__main__":
    sys.exit(main())
