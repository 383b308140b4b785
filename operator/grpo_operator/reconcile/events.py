"""Which Events tell of a change of status. They are few, and are posted after the status was stored."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from grpo_contract.labels import API_GROUP
from grpo_operator.api.run import GRPORun
from grpo_operator.api.status import Condition, ConditionType, GRPORunStatus
from grpo_operator.desired.manifest import Manifest
from grpo_operator.reconcile.conditions import find
from grpo_operator.reconcile.reasons import POD_TROUBLES, Reason
from grpo_operator.resources import EVENT, GRPORUN

NOTE_CHARACTERS: Final = 1024
"""The API server refuses longer ones."""

REPORTING_CONTROLLER: Final = f"{API_GROUP}/operator"
ACTION: Final = "Reconcile"

_PODS: Final = (ConditionType.LEARNERS_READY, ConditionType.GENERATORS_READY)

EventType = Literal["Normal", "Warning"]


@dataclass(frozen=True)
class RunEvent:
    name: str
    """The same for the same news, so that a second try of posting it does not double it."""
    type: EventType
    reason: str
    note: str


def events_of(run: GRPORun, after: GRPORunStatus) -> list[RunEvent]:
    """What `after` tells that the run's status did not."""
    before = run.status
    told = [*_of_conditions(before, after)]
    if (
        after.last_failure
        and after.last_failure != before.last_failure
        and not find(after.conditions, ConditionType.FAILED)
    ):
        note = f"Attempt {after.last_failure.attempt} failed: {after.last_failure.message}"
        told.append(("Warning", after.last_failure.reason, note))
    return [_event(run, after, kind, reason, note) for kind, reason, note in told]


def _of_conditions(before: GRPORunStatus, after: GRPORunStatus) -> Iterator[tuple[EventType, str, str]]:
    for condition in after.conditions:
        old = find(before.conditions, condition.type)
        if old and (old.status, old.reason) == (condition.status, condition.reason):
            continue
        if condition.type is ConditionType.SUCCEEDED or condition.reason == Reason.TRAINING:
            yield "Normal", condition.reason, condition.message
        elif condition.type is ConditionType.FAILED or _is_trouble(condition) or _is_loss(condition, before, after):
            yield "Warning", condition.reason, condition.message


def _is_trouble(condition: Condition) -> bool:
    if condition.status != "False" or condition.reason in (Reason.RUN_ENDED, Reason.RESTARTING):
        return False
    if condition.type in _PODS:
        return condition.reason in POD_TROUBLES
    if condition.type is ConditionType.PROGRESSING:
        return condition.reason not in POD_TROUBLES  # told by the pods' own conditions
    return condition.type in (ConditionType.ACCEPTED, ConditionType.STORAGE_READY)


def _is_loss(condition: Condition, before: GRPORunStatus, after: GRPORunStatus) -> bool:
    """A generator that was ready is so no more, and the run goes on."""
    fewer = after.generators.ready < before.generators.ready
    return condition.type is ConditionType.GENERATORS_READY and fewer and condition.reason != Reason.RUN_ENDED


def _event(run: GRPORun, after: GRPORunStatus, event_type: EventType, reason: str, note: str) -> RunEvent:
    identity = f"{run.metadata.uid} {after.attempt} {reason} {note}"
    digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
    return RunEvent(name=f"{run.metadata.name}.{digest}", type=event_type, reason=reason, note=note[:NOTE_CHARACTERS])


def event_manifest(run: GRPORun, event: RunEvent, reporter: str, now: datetime) -> Manifest:
    return {
        "apiVersion": EVENT.api_version,
        "kind": EVENT.kind,
        "metadata": {"name": event.name, "namespace": run.metadata.namespace},
        "eventTime": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": REPORTING_CONTROLLER,
        "reportingInstance": reporter,
        "action": ACTION,
        "type": event.type,
        "reason": event.reason,
        "note": event.note,
        "regarding": {
            "apiVersion": GRPORUN.api_version,
            "kind": GRPORUN.kind,
            "namespace": run.metadata.namespace,
            "name": run.metadata.name,
            "uid": run.metadata.uid,
        },
    }
