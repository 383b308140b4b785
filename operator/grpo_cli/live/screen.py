"""The picture of `kubectl grpo top`, and the same as JSON."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from grpo_cli.live.history import SECONDS, StepLine, course
from grpo_cli.live.pods import attempt_of, of_attempt, role_of
from grpo_cli.live.why import ENDED
from grpo_cli.live.words import duration, number, since, sparkline
from grpo_operator.api.status import Phase

Manifest = Mapping[str, Any]

NUMBERS: Final = {
    "reward": "reward",
    "KL": "kl",
    "loss": "loss",
    "entropy": "entropy",
    "length": "length",
    "s per step": SECONDS,
}
"""What is shown, by its name in the log."""
SPARKS: Final = 48
BAR: Final = 48
PHASE_SECONDS: Final = re.compile(r'^grpo_phase_seconds_sum\{phase="(\w+)"\} (\S+)$', re.MULTILINE)
STEPS_MADE: Final = re.compile(r"^grpo_step_seconds_count (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class View:
    """What is known of a run at a moment."""

    run: Manifest
    pods: Sequence[Manifest]
    steps: Sequence[StepLine]
    """Of the current attempt, as far as its log goes back."""
    phases: Mapping[str, float] = field(default_factory=dict)
    """Seconds of a step, mean over the attempt."""
    why: Sequence[str] = ()

    @property
    def status(self) -> Manifest:
        status: Manifest = self.run.get("status", {})
        return status


def phases_of(metrics: str) -> dict[str, float]:
    """Of the text that learner 0 serves to Prometheus: what each part of a step takes."""
    made = STEPS_MADE.search(metrics)
    if made is None or not float(made[1]):
        return {}
    sums = {phase: float(seconds) / float(made[1]) for phase, seconds in PHASE_SECONDS.findall(metrics)}
    return {phase: seconds for phase, seconds in sums.items() if seconds > 0}


def picture(view: View, now: datetime) -> RenderableType:
    parts: list[RenderableType] = [_head(view, now), _bar(view.status), _numbers(view)]
    if view.phases:
        parts.append(_phases(view.phases))
    parts += [Text(line, style="yellow") for line in view.why[1:]]
    parts.append(_pods(view, now))  # last: of many, the last ones may find no room
    return Group(*parts)


def as_dict(view: View) -> dict[str, Any]:
    status = view.status
    return {
        "namespace": view.run["metadata"]["namespace"],
        "name": view.run["metadata"]["name"],
        "phase": status.get("phase", Phase.PENDING),
        "attempt": attempt_of(view.run),
        "progress": status.get("progress", {}),
        "metrics": status.get("metrics", {}),
        "phaseSeconds": dict(view.phases),
        "steps": [{"step": step.step, **step.numbers} for step in view.steps],
        "pods": [_as_dict(pod) for pod in _current(view)],
        "why": list(view.why),
    }


def _head(view: View, now: datetime) -> Text:
    metadata, status = view.run["metadata"], view.status
    parts = [f"{metadata['namespace']}/{metadata['name']}", str(status.get("phase", Phase.PENDING))]
    parts.append(f"attempt {attempt_of(view.run)}")
    if started := status.get("startedAt"):
        parts.append(f"started {since(started, now)} ago")
    return Text("  ".join(parts), style="bold")


def _bar(status: Manifest) -> Table:
    steps = status.get("progress", {})
    made, wanted = steps.get("step", 0), steps.get("maxSteps")
    is_on_its_way = status.get("phase") not in ENDED and steps.get("etaSeconds") is not None
    left = f"{duration(steps['etaSeconds'])} left" if is_on_its_way else ""
    line = Table.grid(padding=(0, 2))
    line.add_row(
        ProgressBar(total=wanted or 1, completed=made, width=BAR), f"step {made}/{wanted if wanted else '?'}", left
    )
    return line


def _numbers(view: View) -> Table:
    table = Table.grid(padding=(0, 2))
    for title, name in NUMBERS.items():
        if values := course(view.steps, name):
            table.add_row(title, Text(number(values[-1]), justify="right"), sparkline(values, SPARKS))
    return table


def _phases(phases: Mapping[str, float]) -> Text:
    whole = sum(phases.values())
    shares = sorted(phases.items(), key=lambda entry: -entry[1])
    return Text("step: " + "  ".join(f"{phase} {seconds:.3g} s ({seconds / whole:.0%})" for phase, seconds in shares))


def _pods(view: View, now: datetime) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("ROLE", "POD", "STATE", "RESTARTS", "NODE", "AGE"):
        table.add_column(column)
    for pod in _current(view):
        told = _as_dict(pod)
        age = since(pod["metadata"]["creationTimestamp"], now)
        table.add_row(told["role"], told["name"], told["state"], str(told["restarts"]), told["node"] or "-", age)
    return table


def _current(view: View) -> list[Manifest]:
    return of_attempt(view.pods, attempt_of(view.run))


def _as_dict(pod: Manifest) -> dict[str, Any]:
    containers = pod.get("status", {}).get("containerStatuses", [])
    return {
        "role": role_of(pod),
        "name": pod["metadata"]["name"],
        "state": _state(pod, containers),
        "restarts": sum(container.get("restartCount", 0) for container in containers),
        "node": pod.get("spec", {}).get("nodeName"),
    }


def _state(pod: Manifest, containers: Sequence[Manifest]) -> str:
    if pod["metadata"].get("deletionTimestamp"):
        return "Ending"
    for container in containers:
        state = container.get("state", {})
        for kind in ("waiting", "terminated"):
            if (reason := state.get(kind, {}).get("reason")) is not None:
                return str(reason)
    ready = any(
        entry["type"] == "Ready" and entry["status"] == "True" for entry in pod.get("status", {}).get("conditions", ())
    )
    phase = pod.get("status", {}).get("phase", "Pending")
    return "Ready" if ready else str(phase)
