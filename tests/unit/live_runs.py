"""Runs as a cluster shows them, for the commands about them: one that trains, one that stands still, one that failed, one that is done."""

from datetime import UTC, datetime, timedelta
from typing import Any

from grpo_cli.live.history import Line, lines_of, steps_of
from grpo_cli.live.screen import View, phases_of
from grpo_cli.live.why import why

Manifest = dict[str, Any]
NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
METRICS = """\
# TYPE grpo_phase_seconds histogram
grpo_phase_seconds_bucket{le="1.0",phase="generate"} 70.0
grpo_phase_seconds_sum{phase="generate"} 490.0
grpo_phase_seconds_sum{phase="learn"} 210.0
grpo_phase_seconds_sum{phase="evaluate"} 0.0
grpo_step_seconds_count 70.0
"""


def ago(**time: float) -> str:
    return (NOW - timedelta(**time)).strftime("%Y-%m-%dT%H:%M:%SZ")


def condition(name: str, status: str, reason: str, message: str, **lasting: float) -> Manifest:
    return {
        "type": name,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": ago(**(lasting or {"hours": 3})),
    }


def pod(
    role: str, number: int, attempt: int = 2, *, restarts: int = 0, ready: bool = True, **state: Manifest
) -> Manifest:
    name = f"math-learner-{attempt}-{number}" if role == "learner" else f"math-generator-{number}"
    labels = {"grpo.dev/run": "math", "grpo.dev/role": role}
    if role == "learner":
        labels |= {"grpo.dev/attempt": str(attempt), "batch.kubernetes.io/job-completion-index": str(number)}
    return {
        "metadata": {"name": name, "namespace": "lab", "labels": labels, "creationTimestamp": ago(hours=3)},
        "spec": {"nodeName": f"node-{number}"},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
            "containerStatuses": [{"restartCount": restarts, "state": state or {"running": {}}}],
        },
    }


def log(*, steps: int, last_ago_s: float) -> str:
    """Of `kubectl logs --timestamps`."""
    lines = ["progress bars have no time"]
    for step in range(1, steps + 1):
        at = (NOW - timedelta(seconds=last_ago_s + 10 * (steps - step))).strftime("%Y-%m-%dT%H:%M:%S.123456789Z")
        numbers = f"reward {step / 100:.3g}  accuracy {step / 200:.3g}  kl {step / 10000:.3g}  loss 0.004  entropy {1 / step:.3g}"
        lines.append(f"{at} 2026-11-28 11:00:00,000 INFO step {step}/500  {numbers}  10.0 s")
    return "\n".join(lines) + "\n"


def run_of(phase: str, *conditions: Manifest, **status: Any) -> Manifest:
    usual = {
        "phase": phase,
        "attempt": 2,
        "startedAt": ago(hours=3),
        "progress": {"step": 70, "maxSteps": 500, "secondsPerStep": 10.0, "etaSeconds": 4300.0},
        "conditions": list(conditions),
    }
    return {"metadata": {"namespace": "lab", "name": "math"}, "status": usual | status}


HELD = [
    condition("Accepted", "True", "Accepted", "The run can be started as it is written."),
    condition("GeneratorsReady", "True", "AllReady", "2 of 2 generators are ready."),
    condition("Progressing", "True", "Training", "Steps are being made."),
]
FAILURE = {
    "attempt": 1,
    "time": ago(minutes=50),
    "reason": "OOMKilled",
    "message": "Container learner of pod math-learner-1-0 was killed because it ran out of memory.",
    "log": ["loading", "Killed"],
}
RUNNING = run_of("Running", *HELD, recommendation="With 3 generators a step would take 8 s.", lastFailure=FAILURE)
STALLED = run_of(
    "Running",
    condition(
        "GeneratorsReady", "False", "Unschedulable", "Pod math-generator-1 fits no node (0/2 nodes).", minutes=12
    ),
    condition("WeightsInSync", "False", "OutOfSync", "0 of 2 generators hold the weights.", minutes=12),
    condition("Progressing", "True", "WaitingForGenerators", "Learners wait for a generator."),
)
FAILED = run_of(
    "Failed",
    condition(
        "Failed",
        "True",
        "MaxRestartsExceeded",
        "Attempt 6 failed, and maxRestarts is 5: raise it to 6 or more.",
        minutes=20,
    ),
    attempt=6,
    finishedAt=ago(minutes=20),
    lastFailure=FAILURE | {"attempt": 6, "time": ago(minutes=20)},
)
FINISHED = run_of(
    "Succeeded",
    condition("Succeeded", "True", "Completed", "All steps are done and the model is saved.", hours=1),
    finishedAt=ago(hours=1),
    model="/volume/runs/math-1/model",
    progress={"step": 500, "maxSteps": 500},
)
EVENTS = [
    {
        "type": "Warning",
        "reason": "FailedScheduling",
        "message": "0/2 nodes are available:\n 2 Insufficient nvidia.com/gpu.",
        "involvedObject": {"kind": "Pod", "name": "math-generator-1"},
        "lastTimestamp": ago(minutes=minutes),
        "metadata": {"creationTimestamp": ago(minutes=minutes)},
    }
    for minutes in (1, 6, 90)
]
PENDING = pod("generator", 1, ready=False) | {"spec": {}, "status": {"phase": "Pending"}}
ENDED = pod("learner", 0, 6, ready=False, terminated={"reason": "OOMKilled", "exitCode": 137})
DONE = pod("learner", 0, ready=False, terminated={"reason": "Completed", "exitCode": 0})


def view(
    run: Manifest, pods: list[Manifest], log_text: str, metrics: str = "", events: list[Manifest] | None = None
) -> View:
    lines: list[Line] = lines_of(log_text)
    told = why(run, events or [], lines[-1] if lines else None, NOW)
    return View(run, pods, steps_of(lines), phases_of(metrics), told)


VIEWS = {
    "running": view(
        RUNNING,
        [
            pod("generator", 0, restarts=1),
            pod("generator", 1),
            pod("learner", 1),
            pod("learner", 0),
            pod("learner", 0, 1),
        ],
        log(steps=70, last_ago_s=4),
        METRICS,
    ),
    "stalled": view(
        STALLED,
        [pod("learner", 0), pod("generator", 0, ready=False), PENDING],
        log(steps=3, last_ago_s=700),
        events=EVENTS,
    ),
    "failed": view(FAILED, [ENDED], ""),
    "finished": view(FINISHED, [DONE], log(steps=70, last_ago_s=3600)),
}
