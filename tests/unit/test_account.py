"""What a scrape is told of a run, by its object."""

from datetime import UTC, datetime
from typing import Any

import pytest

from grpo_contract.metrics import OPERATOR_METRICS
from grpo_operator.account import account_of

KEY = ("team", "math")
FAILED_AT = datetime(2026, 11, 28, 3, 4, 5, tzinfo=UTC)
FULL: dict[str, Any] = {
    "spec": {
        "learners": {"replicas": 2, "gpus": 8},
        "generators": {"replicas": 3, "gpus": 2},
        "checkpoint": {"everySteps": 20},
    },
    "status": {
        "phase": "Running",
        "attempt": 4,
        "progress": {"step": 70, "maxSteps": 500, "secondsPerStep": 12.5},
        "checkpoint": {"step": 60, "time": "2026-11-28T03:00:00Z"},
        "learners": {"desired": 2, "ready": 1},
        "generators": {"desired": 3, "replicas": 4, "ready": 3, "inSync": 2, "recommended": 6},
        "lastFailure": {"attempt": 3, "time": "2026-11-28T03:04:05Z", "reason": "OOMKilled", "message": "."},
        "conditions": [
            {"type": "LearnersReady", "status": "True", "reason": "AllReady"},
            {"type": "GeneratorsReady", "status": "False", "reason": "GeneratorEnded"},
            {"type": "WeightsInSync", "status": "Unknown", "reason": "NotKnownYet"},
        ],
        "benchmarks": [
            {"target": "checkpoint-25", "step": 25, "scores": {"math_500|0": {"pass@1": 0.5}}},
            {"target": "checkpoint-50", "step": 50, "scores": {"math_500|0": {"pass@1": 0.75, "f1": 0.5}}},
            {"target": "model", "step": 70, "phase": "Running"},
        ],
    },
}


def told(run: dict[str, Any]) -> dict[tuple[str, ...], float]:
    """Name and labels of each sample -> its value."""
    samples = account_of(run).samples
    found = {(name, *labels): value for name, labels, value in samples}
    assert len(found) == len(samples), "one is told twice"
    return found


def test_all_that_is_known_of_a_run_is_told() -> None:
    assert told(FULL) == {
        ("grpo_run_phase", "Running"): 1,
        ("grpo_run_step",): 70,
        ("grpo_run_max_steps",): 500,
        ("grpo_run_seconds_per_step",): 12.5,
        ("grpo_run_checkpoint_every_steps",): 20,
        ("grpo_run_checkpoint_step",): 60,
        ("grpo_run_learners", "desired"): 2,
        ("grpo_run_learners", "ready"): 1,
        ("grpo_run_generators", "desired"): 3,
        ("grpo_run_generators", "ready"): 3,
        ("grpo_run_generators", "in_sync"): 2,
        ("grpo_run_generators", "recommended"): 6,
        ("grpo_run_gpus", "learner"): 16,
        ("grpo_run_gpus", "generator"): 8,
        ("grpo_run_attempt",): 4,
        ("grpo_run_last_failure_timestamp_seconds", "OOMKilled"): FAILED_AT.timestamp(),
        ("grpo_run_condition", "LearnersReady", "AllReady"): 1,
        ("grpo_run_condition", "GeneratorsReady", "GeneratorEnded"): 0,
        ("grpo_benchmark_step",): 50,
        ("grpo_benchmark_score", "math_500|0", "pass@1"): 0.75,
        ("grpo_benchmark_score", "math_500|0", "f1"): 0.5,
    }


def test_a_run_without_status_is_told_of() -> None:
    found = told({"spec": {}})
    assert found["grpo_run_phase", "Pending"] == 1
    assert found["grpo_run_step",] == 0
    assert found["grpo_run_gpus", "learner"] == 0
    assert ("grpo_run_max_steps",) not in found
    assert ("grpo_run_checkpoint_step",) not in found


@pytest.mark.parametrize("phase", ["Pending", "Suspended", "Succeeded", "Failed"])
def test_learners_of_a_run_that_is_not_active_hold_no_gpus(phase: str) -> None:
    status = FULL["status"] | {"phase": phase, "generators": {"desired": 3, "replicas": 0}}
    found = told(FULL | {"status": status})
    assert (found["grpo_run_gpus", "learner"], found["grpo_run_gpus", "generator"]) == (0, 0)


def test_no_metric_of_a_run_is_left_out() -> None:
    labels = {name: len(labels) for name, labels, _ in account_of(FULL).samples}
    assert labels == {metric.name: len(metric.labels) - 2 for metric in OPERATOR_METRICS if "run" in metric.labels}
