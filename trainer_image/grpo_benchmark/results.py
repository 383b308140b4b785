"""Reads what lighteval and lm-evaluation-harness write: JSON files with {"results": {task: {metric: value, ...}}, ...}."""

import json
import math
from pathlib import Path
from typing import Any, Final

from grpo_contract.benchmarks import BenchmarkScores

AVERAGE: Final = "all"
"""lighteval's name for the mean over tasks, which it writes for one task as well."""
DEVIATION: Final = "stderr"
"""Part of the names of metrics that say how sure another one is."""


def read_scores(folder: Path) -> BenchmarkScores:
    """Of all files below `folder`; of two that hold the same task, as a second try leaves them, the newer counts."""
    scores: dict[str, dict[str, float]] = {}
    for file in sorted(folder.rglob("*.json"), key=lambda file: file.stat().st_mtime):
        scores |= _scores_in(file)
    return BenchmarkScores(scores={task: metrics for task, metrics in scores.items() if metrics})


def _scores_in(file: Path) -> dict[str, dict[str, float]]:
    try:
        content = json.loads(file.read_bytes())
    except ValueError:
        return {}
    results = content.get("results") if isinstance(content, dict) else None
    if not isinstance(results, dict):
        return {}
    tasks = {task: metrics for task, metrics in results.items() if isinstance(metrics, dict)}
    if len(tasks) > 1:
        tasks.pop(AVERAGE, None)
    return {task: _numbers(metrics) for task, metrics in tasks.items()}


def _numbers(metrics: dict[str, Any]) -> dict[str, float]:
    """Without NaN, which no status can hold."""
    return {
        metric: float(value)
        for metric, value in metrics.items()
        if isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and DEVIATION not in metric
    }
