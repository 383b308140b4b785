"""`python -m perf.telling_cost`, in the trainer's environment: what it costs to tell of a run.

A scrape of learner 0 and what it is told of a step; completions on their way to the volume; and the page over 100,000 of
them. Prints medians and writes them to build/bench/telling.json. It judges nothing.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from statistics import median

from grpo_contract.metrics import LEARNER_METRICS, TRL_KEYS_BY_LABEL, Kind
from grpo_page.query import Query, View
from grpo_page.store import Store
from grpo_trainer.completions.archive import Archive
from grpo_trainer.completions.batch import Batch, Written
from grpo_trainer.completions.table import build_table
from grpo_trainer.instruments.metrics import LearnerMetrics
from grpo_trainer.instruments.progress import ProgressBoard
from grpo_trainer.reports.exporter import Exporter, new_registry
from grpo_trainer.reports.step_report import copy_gauges
from harness.layout import ROOT
from perf.result import Figures, write

RESULT = ROOT / "build" / "bench" / "telling.json"
SCRAPE_INTERVAL_S = 10
"""The chart's PodMonitor's."""
REWARDS = ("accuracy", "format", "tag_count")
GENERATORS = 16
COMPLETIONS = 100_000
OF_A_STEP = 200
GROUP = 8
WORDS = 300
"""Of a completion; about 400 tokens."""
TIMES = 20


def main() -> None:
    parser = argparse.ArgumentParser(prog="perf.telling_cost", description=__doc__)
    parser.add_argument("--completions", type=int, default=COMPLETIONS)
    arguments = parser.parse_args()
    values = metrics_cost()
    with tempfile.TemporaryDirectory() as folder:
        values |= keeping_cost(Path(folder), arguments.completions // OF_A_STEP) | page_cost(Path(folder))
    write(values, RESULT)
    print(table(values))


def metrics_cost() -> Figures:
    registry = new_registry()
    metrics = LearnerMetrics(registry)
    exporter = Exporter(registry, ProgressBoard(attempt=1), port=0)
    for metric in LEARNER_METRICS:
        if metric.kind is Kind.COUNTER and "generator" in metric.labels:
            for number in range(GENERATORS):
                metrics.add(metric.name, 1, f"run-generator-{number}")
    keys = [metric.trl_key for metric in LEARNER_METRICS if metric.trl_key]
    keys += [key for by_label in TRL_KEYS_BY_LABEL.values() for key in by_label.values()]
    keys += [f"rewards/{name}/{stat}" for name in REWARDS for stat in ("mean", "std")]
    logs = dict.fromkeys(keys, 0.5)
    step_s = median_s(lambda: copy_gauges(metrics, logs, REWARDS, of_evaluation=False))
    scrape_s = median_s(lambda: exporter.answer("/metrics", ""))
    exporter.shutdown()
    return {
        "scrape_ms": round(1000 * scrape_s, 2),
        "scrape_share": round(scrape_s / SCRAPE_INTERVAL_S, 6),
        "step_ms": round(1000 * step_s, 2),
    }


def keeping_cost(folder: Path, steps: int) -> Figures:
    """In the thread that keeps them; merging included."""
    archive, chance = Archive(folder, 1, 1 << 40), random.Random(1)
    words = ["".join(chance.choices("abcdefghijklmnop", k=chance.randint(2, 9))) for _ in range(5000)]
    spent_s = []
    for step in range(1, steps + 1):
        batch = _batch(step, words, chance)
        started = time.perf_counter()
        archive.write(step, build_table(batch, None))
        archive.merge_before(step)
        spent_s.append(time.perf_counter() - started)
    size = sum(file.stat().st_size for file in folder.iterdir())
    return {
        "kept_ms_per_step": round(1000 * sum(spent_s) / steps, 1),
        "kept_us_per_completion": round(1e6 * sum(spent_s) / steps / OF_A_STEP),
        "bytes_per_completion": round(size / steps / OF_A_STEP),
    }


def page_cost(folder: Path) -> Figures:
    store = Store(folder)
    asked = {
        "first_page": Query(),
        "page_1000": Query(page=1000),
        "best": Query(View.BEST),
        "suspected": Query(View.SUSPECTED),
        "search": Query(search="<answer>42"),
    }
    questions: dict[str, Callable[[], object]] = {
        name: lambda query=query: (store.count(query), store.page(query))  # type: ignore[misc]
        for name, query in asked.items()
    }
    questions |= {"group": lambda: store.group(1, 0), "curves": store.curves}
    return {f"page_{name}_ms": round(1000 * median_s(ask)) for name, ask in questions.items()}


def _batch(step: int, words: list[str], chance: random.Random) -> Batch:
    texts = [
        f"<think>{' '.join(chance.choices(words, k=WORDS))}</think>\n<answer>42</answer>" for _ in range(OF_A_STEP)
    ]
    return Batch(
        step=step,
        attempt=1,
        at=datetime(2026, 1, 1),
        num_generations=GROUP,
        prompts=[f"What is {step} + {place // GROUP}?" for place in range(OF_A_STEP)],
        completions=texts,
        written=[
            Written(20, chance.randint(100, 600), chance.random() < 0.1, step - chance.randint(0, 1)) for _ in texts
        ],
        scores={name: [chance.random() for _ in texts] for name in REWARDS},
        weights=[1.0] * len(REWARDS),
        advantages=[chance.gauss(0, 1) for _ in texts],
    )


def median_s(do: Callable[[], object]) -> float:
    seconds = []
    for _ in range(TIMES):
        started = time.perf_counter()
        do()
        seconds.append(time.perf_counter() - started)
    return median(seconds)


def table(values: Figures) -> str:
    return "\n".join(f"{name:<26}{value:>10}" for name, value in values.items())


if __name__ == "__main__":
    main()
