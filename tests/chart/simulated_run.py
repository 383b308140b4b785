"""Half an hour of a run's metrics, in which every number is known: OpenMetrics text from the contract's table.

Each step takes two seconds, and each phase its share of them; counters grow by the same amount with every step.
"""

import itertools
from collections.abc import Iterator, Mapping

from grpo_contract.metrics import (
    LEARNER_METRICS,
    OPERATOR_METRICS,
    TRL_KEYS_BY_LABEL,
    GroupOutcome,
    Kind,
    Metric,
    Phase,
    StartupPart,
)

START, SECONDS, SCRAPE_S = 1_700_000_000, 1800, 15
STEP_S = 2.0
MAX_STEPS = 1000
PHASE_S = {
    Phase.GENERATE: 0.5,
    Phase.REWARD: 0.1,
    Phase.LEARN: 1.0,
    Phase.WEIGHT_SYNC: 0.2,
    Phase.CHECKPOINT: 0.125,
    Phase.WAIT: 0.075,
    Phase.EVALUATE: 0.0,  # between steps
}
PER_STEP = 8.0
"""What every counter grows by with each step."""

TARGET = {"namespace": "lab", "run": "first"}
LABEL_VALUES: dict[str, tuple[str, ...]] = {
    "reward_func": ("accuracy", "format"),
    "phase": tuple(Phase),
    "part": tuple(StartupPart),
    "kind": ("prompt", "completion"),
    "state": ("ready", "in_sync", "lost"),
    "result": ("pushed", "failed", "skipped"),
    "outcome": tuple(GroupOutcome),
    "generator": ("first-generator-a", "first-generator-b"),
    "run_namespace": (TARGET["namespace"],),
    "run": (TARGET["run"],),
    "task": ("math_500", "aime24"),
    "metric": ("accuracy",),
    "role": ("learner", "generator"),
    "controller": ("grporun",),
    "name": ("grporun",),
}
OF_OPERATOR: Mapping[str, dict[str, tuple[str, ...]]] = {
    "grpo_runs": {"phase": ("Running", "Failed")},
    "grpo_run_phase": {"phase": ("Running",)},
    "grpo_run_condition": {"type": ("GeneratorsReady",), "reason": ("GeneratorEnded",)},
    "grpo_run_last_failure_timestamp_seconds": {"reason": ("OOMKilled",)},
}
"""Values of labels whose names have others elsewhere."""
OPERATOR: Mapping[str, str] = {"namespace": "grpo-system", "pod": "grpo-operator-a"}
"""Labels of the target that tells of the run when its pods are gone."""
WITH_STEPS = ("grpo_step", "grpo_checkpoint_step", "grpo_run_attempt")
"""Gauges that climb."""
GAUGES = {
    "grpo_max_steps": MAX_STEPS,
    "grpo_reward": 0.6,
    "grpo_reward_std": 0.25,
    "grpo_kl": 0.01,
    "grpo_run_phase": 1,
    "grpo_run_condition": 0,
    "grpo_run_gpus": 8,
    "grpo_run_last_failure_timestamp_seconds": START,
}
VLLM_COUNTERS = ("vllm:generation_tokens", "vllm:prefix_cache_hits", "vllm:prefix_cache_queries")
VLLM_GAUGES = ("vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:kv_cache_usage_perc")


def open_metrics() -> str:
    families = [_family(metric, TARGET | {"pod": "first-learner-1-0"}) for metric in LEARNER_METRICS]
    families += [_family(metric, OPERATOR) for metric in OPERATOR_METRICS]
    families.append(_process_family())
    families += [_generator_family(name, "gauge", name) for name in VLLM_GAUGES]
    families += [_generator_family(name, "counter", f"{name}_total") for name in VLLM_COUNTERS]
    return "".join(f"{line}\n" for line in itertools.chain(*families, ["# EOF"]))


def _family(metric: Metric, target: Mapping[str, str]) -> Iterator[str]:
    yield f"# TYPE {metric.name.removesuffix('_total')} {metric.kind}"
    for labels in _label_sets(metric):
        for second in range(0, SECONDS + 1, SCRAPE_S):
            for suffix, more, value in _samples(metric, labels, second / STEP_S):
                yield _line(metric.name + suffix, {**target, **labels, **more}, value, second)


def _generator_family(family: str, kind: str, series: str) -> Iterator[str]:
    yield f"# TYPE {family} {kind}"
    for pod, second in itertools.product(LABEL_VALUES["generator"], range(0, SECONDS + 1, SCRAPE_S)):
        value = second / STEP_S * PER_STEP if kind == "counter" else 0.5
        yield _line(series, TARGET | {"pod": pod, "engine": "0", "model_name": "policy"}, value, second)


def _process_family() -> Iterator[str]:
    yield "# TYPE process_resident_memory_bytes gauge"
    for second in range(0, SECONDS + 1, SCRAPE_S):
        yield _line("process_resident_memory_bytes", OPERATOR, 1e8, second)


def _samples(metric: Metric, labels: Mapping[str, str], steps: float) -> Iterator[tuple[str, dict[str, str], float]]:
    if metric.kind is Kind.COUNTER:
        yield "", {}, steps * PER_STEP
    elif metric.kind is Kind.GAUGE:
        yield "", {}, steps if metric.name in WITH_STEPS else GAUGES.get(metric.name, 0.5)
    else:
        seconds = PHASE_S[Phase(labels["phase"])] if "phase" in labels else STEP_S
        for bound in (*metric.buckets, float("inf")):
            yield "_bucket", {"le": "+Inf" if bound == float("inf") else str(bound)}, steps if seconds <= bound else 0
        yield "_sum", {}, steps * seconds
        yield "_count", {}, steps


def _label_sets(metric: Metric) -> Iterator[dict[str, str]]:
    by_stat = tuple(TRL_KEYS_BY_LABEL.get(metric.name, {"mean": "", "std": ""}))
    known = LABEL_VALUES | OF_OPERATOR.get(metric.name, {})
    for values in itertools.product(*(known.get(label, by_stat) for label in metric.labels)):
        yield dict(zip(metric.labels, values, strict=True))


def _line(series: str, labels: Mapping[str, str], value: float, second: int) -> str:
    inside = ",".join(f'{name}="{text}"' for name, text in labels.items())
    return f"{series}{{{inside}}} {value} {START + second}"
