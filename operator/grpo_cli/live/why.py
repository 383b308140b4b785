"""What a run waits for, or why it failed, in five lines at most."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final

from grpo_cli.live.history import Line
from grpo_cli.live.pods import attempt_of
from grpo_cli.live.words import duration, since
from grpo_contract.log_entry import printable
from grpo_operator.api.status import ConditionType, Phase
from grpo_operator.reconcile.reasons import Reason

Manifest = Mapping[str, Any]

MOST_LINES: Final = 5
LOOKED_AT: Final = (
    ConditionType.ACCEPTED,
    ConditionType.STORAGE_READY,
    ConditionType.LEARNERS_READY,
    ConditionType.GENERATORS_READY,
    ConditionType.WEIGHTS_IN_SYNC,
    ConditionType.PROGRESSING,
    ConditionType.REWARDS_HEALTHY,
    ConditionType.CHECKPOINT_HEALTHY,
)
"""In the order in which one keeps the next from holding."""
EVENTS_FOR: Final = timedelta(minutes=15)
STARTS: Final = "Startup probe failed"
"""What every pod has that takes its time to start; conditions tell of one that does not."""
SILENT_S: Final = 300.0
"""At least; a learner that says nothing for five steps is silent as well."""
ENDED: Final = (Phase.SUCCEEDED, Phase.FAILED)


def why(run: Manifest, events: Sequence[Manifest], last_line: Line | None, now: datetime) -> list[str]:
    """`events`: of the run and its pods; `last_line`: of learner 0."""
    status = run.get("status", {})
    found = _ended(status, now) if status.get("phase") in ENDED else _ongoing(status, events, last_line, now)
    lines = [_headline(run, status, now), *islice(found, MOST_LINES - 1)]
    return list(map(printable, lines))


def _headline(run: Manifest, status: Manifest, now: datetime) -> str:
    steps, metadata = status.get("progress", {}), run["metadata"]
    started, finished = status.get("startedAt"), status.get("finishedAt")
    parts = [f"{metadata['namespace']}/{metadata['name']}: {status.get('phase', Phase.PENDING)}"]
    if finished:
        parts[0] += f" for {since(finished, now)}"
    if steps.get("maxSteps"):
        parts.append(f"step {steps.get('step', 0)} of {steps['maxSteps']}")
    parts.append(f"attempt {attempt_of(run)}")
    if started:
        ran = (datetime.fromisoformat(finished) if finished else now) - datetime.fromisoformat(started)
        parts.append(f"{'ran' if finished else 'runs'} for {duration(ran.total_seconds())}")
    return ", ".join(parts)


def _ended(status: Manifest, now: datetime) -> Iterator[str]:
    for condition in status.get("conditions", ()):
        if condition["type"] in (ConditionType.SUCCEEDED, ConditionType.FAILED) and condition["status"] == "True":
            yield f"{condition['reason']}: {condition['message']}"
    if status.get("phase") == Phase.SUCCEEDED:
        if model := status.get("model"):
            yield f"The trained model lies in {model} on the run's volume."
        return
    yield from _last_failure(status, now)


def _ongoing(status: Manifest, events: Sequence[Manifest], last_line: Line | None, now: datetime) -> Iterator[str]:
    conditions = {condition["type"]: condition for condition in status.get("conditions", ())}
    suspended = conditions.get(ConditionType.SUSPENDED)
    if suspended and suspended["status"] == "True":
        yield f"{suspended['reason']}: {suspended['message']}"
        return
    troubles = [_told(conditions[name], now) for name in LOOKED_AT if _is_false(conditions.get(name))]
    yield from islice(troubles, 2)
    progressing = conditions.get(ConditionType.PROGRESSING)
    if progressing and progressing["status"] == "True" and (troubles or progressing["reason"] != Reason.TRAINING):
        yield f"{progressing['reason']}: {progressing['message']}"
    silence = _silence(status, last_line, now)
    if silence is not None:
        yield silence
    if not troubles and silence is None:
        yield from _pace(status)
    yield from _last_failure(status, now)
    yield from _warnings(events, now)


def _is_false(condition: Manifest | None) -> bool:
    return condition is not None and condition["status"] == "False"


def _told(condition: Manifest, now: datetime) -> str:
    lasting = since(condition["lastTransitionTime"], now)
    return f"{condition['type']} is False for {lasting} ({condition['reason']}): {condition['message']}"


def _silence(status: Manifest, last_line: Line | None, now: datetime) -> str | None:
    """Of a run that is to make steps."""
    if last_line is None or status.get("phase") != Phase.RUNNING:
        return None
    silent_s = (now - last_line.at).total_seconds()
    if silent_s < max(SILENT_S, 5 * (status.get("progress", {}).get("secondsPerStep") or 0)):
        return None
    return f"Learner 0 has said nothing for {duration(silent_s)}; the last was: {last_line.message}"


def _last_failure(status: Manifest, now: datetime) -> Iterator[str]:
    failure = status.get("lastFailure")
    if not failure:
        return
    yield f"Attempt {failure['attempt']} ended {since(failure['time'], now)} ago ({failure['reason']}): {failure['message']}"
    if failure.get("log"):
        yield f"The last line of its log: {failure['log'][-1]}"


def _warnings(events: Sequence[Manifest], now: datetime) -> Iterator[str]:
    """The newest one of each object and reason."""
    told: set[tuple[str, str]] = set()
    for event in sorted(events, key=_time_of, reverse=True):
        about = event["involvedObject"]
        is_new = now - datetime.fromisoformat(_time_of(event)) <= EVENTS_FOR
        key = (about["name"], event["reason"])
        is_trouble = event.get("type") == "Warning" and not event["message"].startswith(STARTS)
        if is_trouble and is_new and key not in told:
            told.add(key)
            message = " ".join(event["message"].split())
            yield f"Event of {about['kind']} {about['name']} {since(_time_of(event), now)} ago ({event['reason']}): {message}"


def _time_of(event: Manifest) -> str:
    """When it was seen last."""
    series = event.get("series") or {}
    return str(
        series.get("lastObservedTime")
        or event.get("lastTimestamp")
        or event.get("eventTime")
        or event["metadata"]["creationTimestamp"]
    )


def _pace(status: Manifest) -> Iterator[str]:
    steps = status.get("progress", {})
    if (per_step := steps.get("secondsPerStep")) is not None:
        left = f"; {duration(steps['etaSeconds'])} are left" if steps.get("etaSeconds") is not None else ""
        yield f"It trains: a step takes {per_step:.3g} s{left}."
    if recommendation := status.get("recommendation"):
        yield recommendation
