"""What a scrape is told of a run. It is taken from the object when that comes, so that a scrape of many runs costs little."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from grpo_contract.labels import Role
from grpo_operator.api.spec import Checkpoint, Generators, Learners
from grpo_operator.api.status import Phase

Manifest = Mapping[str, Any]
Sample = tuple[str, tuple[str, ...], float]
"""Name of a metric, values of its labels after namespace and name of the run, value."""
Samples = Iterator[tuple[str, tuple[str, ...], float | None]]
"""Of these, the ones without a value are not told."""

HOLDING_NO_LEARNERS: Final = frozenset({Phase.PENDING, Phase.SUSPENDED, Phase.SUCCEEDED, Phase.FAILED})
_VALUES: Final = {"True": 1.0, "False": 0.0}


@dataclass(frozen=True)
class Account:
    phase: str = Phase.PENDING
    samples: tuple[Sample, ...] = ()


def account_of(run: Manifest) -> Account:
    """A stored object may be a newer operator's, or have no status yet: what is not there is not told."""
    status = run.get("status", {})
    phase = status.get("phase", Phase.PENDING)
    parts = (_progress(run["spec"], status), _pods(run["spec"], status, phase), _story(status), _benchmark(status))
    told = [(name, labels, value) for part in parts for name, labels, value in part if value is not None]
    return Account(phase, (("grpo_run_phase", (phase,), 1.0), *told))


def _progress(spec: Manifest, status: Manifest) -> Samples:
    steps = status.get("progress", {})
    yield "grpo_run_step", (), steps.get("step", 0)
    yield "grpo_run_max_steps", (), steps.get("maxSteps")
    yield "grpo_run_seconds_per_step", (), steps.get("secondsPerStep")
    every = spec.get("checkpoint", {}).get("everySteps", Checkpoint().every_steps)
    yield "grpo_run_checkpoint_every_steps", (), every
    yield "grpo_run_checkpoint_step", (), (status.get("checkpoint") or {}).get("step")


def _pods(spec: Manifest, status: Manifest, phase: str) -> Samples:
    learners, generators = status.get("learners", {}), status.get("generators", {})
    for state in ("desired", "ready"):
        yield "grpo_run_learners", (state,), learners.get(state, 0)
        yield "grpo_run_generators", (state,), generators.get(state, 0)
    yield "grpo_run_generators", ("in_sync",), generators.get("inSync", 0)
    yield "grpo_run_generators", ("recommended",), generators.get("recommended")
    held = 0 if phase in HOLDING_NO_LEARNERS else learners.get("desired", 0)
    yield "grpo_run_gpus", (Role.LEARNER,), held * spec.get("learners", {}).get("gpus", Learners().gpus)
    gpus = spec.get("generators", {}).get("gpus", Generators().gpus)
    yield "grpo_run_gpus", (Role.GENERATOR,), generators.get("replicas", 0) * gpus


def _story(status: Manifest) -> Samples:
    yield "grpo_run_attempt", (), status.get("attempt", 1)
    if failure := status.get("lastFailure"):
        seconds = datetime.fromisoformat(failure["time"]).timestamp()
        yield "grpo_run_last_failure_timestamp_seconds", (failure["reason"],), seconds
    for condition in status.get("conditions", ()):
        yield "grpo_run_condition", (condition["type"], condition["reason"]), _VALUES.get(condition["status"])


def _benchmark(status: Manifest) -> Samples:
    newest = _newest_with_scores(status.get("benchmarks", ()))
    if newest is None:
        return
    yield "grpo_benchmark_step", (), newest["step"]
    for task, found in newest["scores"].items():
        for metric, value in found.items():
            yield "grpo_benchmark_score", (task, metric), value


def _newest_with_scores(benchmarks: Iterable[Manifest]) -> Manifest | None:
    """They are in the order of their steps."""
    return next((entry for entry in reversed([*benchmarks]) if entry.get("scores")), None)
