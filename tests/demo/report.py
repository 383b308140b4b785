"""The figures of a finished demo (build/demo.json)."""

import contextlib
import json
import time
from collections.abc import Iterator
from statistics import fmean
from typing import Any

from harness.kubectl import Kubectl, Manifest


class Stopwatch:
    def __init__(self) -> None:
        self.started = time.monotonic()
        self.parts: dict[str, float] = {}

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.parts[name] = time.monotonic() - started

    def seconds(self) -> dict[str, float]:
        return {
            name: round(value, 1) for name, value in {**self.parts, "total": time.monotonic() - self.started}.items()
        }


def summarize(kubectl: Kubectl, run: Manifest, evaluation: dict[str, Any], stopwatch: Stopwatch) -> dict[str, Any]:
    curve: list[dict[str, float]] = evaluation["curve"]
    accuracies = [entry["rewards/accuracy/mean"] for entry in curve]
    learners = kubectl.find_all("pod", f"grpo.dev/run={run['metadata']['name']},grpo.dev/role=learner")
    return {
        "steps": run["status"]["progress"]["step"],
        "accuracy_first5": fmean(accuracies[:5]),
        "accuracy_last5": fmean(accuracies[-5:]),
        "kl_last": curve[-1]["kl"],
        "loss_last": curve[-1]["loss"],
        "base_accuracy": evaluation["base_accuracy"],
        "trained_accuracy": evaluation["trained_accuracy"],
        "learner_nodes": sorted({pod["spec"]["nodeName"] for pod in learners}),
        "completions_per_generator": completions_per_generator(learners),
        "max_logp_difference": max(entry["sampling/sampling_logp_difference/max"] for entry in curve),
        "seconds": stopwatch.seconds(),
    }


def completions_per_generator(learners: list[Manifest]) -> dict[str, int]:
    """From learner 0's last words: the final progress in its termination message."""
    for pod in learners:
        ended = pod["status"]["containerStatuses"][0]["state"].get("terminated", {})
        last_words = json.loads(ended.get("message") or "{}")
        if "generators" in last_words:
            return {generator["name"]: generator["completions"] for generator in last_words["generators"]}
    raise LookupError("no learner left its final progress in its termination message")
