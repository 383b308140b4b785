"""`python -m grpo_demo.prepare FOLDER`: everything that manifests/demo.yaml reads, made once.

FOLDER/base: model and tokenizer. FOLDER/train.jsonl and held_out.jsonl: rows with `problem` and `solution`; no held-out
problem is among the training ones. FOLDER/complete: written last; where it is, there is nothing to do.
"""

import argparse
import json
import random
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Final

from grpo_demo.arithmetic import Problem, distinct_problems

SEED: Final = 0
TRAINING_PROBLEMS: Final = 2000
HELD_OUT_PROBLEMS: Final = 500
MARKER: Final = "complete"


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the demo's base model and data.")
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    if (folder / MARKER).exists():
        print(f"{folder} is complete", flush=True)
        return
    folder.mkdir(parents=True, exist_ok=True)
    write_problems(folder)
    write_base_model(folder / "base")
    (folder / MARKER).touch()
    print(f"{folder} is complete", flush=True)


def write_problems(folder: Path) -> None:
    problems = distinct_problems(random.Random(SEED + 1))  # noqa: S311
    write_rows(folder / "train.jsonl", islice(problems, TRAINING_PROBLEMS))
    write_rows(folder / "held_out.jsonl", islice(problems, HELD_OUT_PROBLEMS))


def write_rows(file: Path, problems: Iterable[Problem]) -> None:
    rows = ({"problem": problem.text, "solution": problem.solution} for problem in problems)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_base_model(folder: Path) -> None:
    from grpo_demo.make_base import WarmUp, make_base_model

    model, tokenizer = make_base_model(SEED, WarmUp())
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    main()
