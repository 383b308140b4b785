"""Which Events tell of a change of status. They are few, and are posted after the status was stored."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from grpo_contract.labels import API_GROUP
from grpo_operator.api.run import GRPORun
from grpo_operator.api.status import BENCHMARK_OVER, BenchmarkPhase, Condition, ConditionType, GRPORunStatus
from grpo_operator.desired.manifest import Manifest
from grpo_operator.reconcile.conditions import find, is_true, micro_timestamp
from grpo_operator.reconcile.disruption import told_end
from grpo_operator.reconcile.phase import has_ended
from grpo_operator.reconcile.reasons import POD_TROUBLES, Reason
from grpo_operator.resources import EVENT, GRPORUN

NOTE_BYTES: Final = 1024
"""In UTF-8. The API server refuses longer ones."""

REPORTING_CONTROLLER: Final = f"{API_GROUP}/operator"
ACTION: Final = "Reconcile"

_PODS: Final = (ConditionType.LEARNERS_READY, ConditionType.GENERATORS_READY)

_LOSSES: Final = (Reason.GENERATOR_ENDED, Reason.GENERATOR_NOT_READY)
"""News also when no fewer generators are ready than before: another may have become ready, or one that ended have stopped
answering first."""

_GOOD_NEWS: Final = (ConditionType.SUCCEEDED, ConditionType.SUSPENDED)
"""Whatever they say is what was wanted."""

_WITHOUT_PODS: Final = (Reason.RUN_ENDED, Reason.SUSPENDED, Reason.RESTARTING)
"""What is said of pods that nobody asks for."""

EventType = Literal["Normal", "Warning"]


@dataclass(frozen=True)
class RunEvent:
    name: str
    """The same for the same news, so that a second try of posting it does not double it."""
    type: EventType
    reason: str
    note: str


@dataclass(frozen=True)
class _News:
    type: EventType
    reason: str
    note: str
    since: str
    """Its time, or the generation of the run that it is about."""


def events_of(run: GRPORun, after: GRPORunStatus) -> list[RunEvent]:
    """What `after` tells that the run's status did not."""
    before = run.status
    told = [
        *_of_recipe(run, after),
        *_of_resumption(before, after),
        *_of_conditions(before, after),
        *_of_benchmarks(before, after),
    ]
    if (
        after.last_failure
        and after.last_failure != before.last_failure
        and not find(after.conditions, ConditionType.FAILED)
    ):
        failure = after.last_failure
        told.append(_News("Warning", failure.reason, told_end(after), failure.time))
    events = [_event(run, after, news) for news in told]
    return list({event.name: event for event in events}.values())  # several conditions may say the same


def _of_recipe(run: GRPORun, after: GRPORunStatus) -> Iterator[_News]:
    notes = after.recipe.notes
    if notes and notes != run.status.recipe.notes:
        keys = ", ".join(note.key for note in notes)
        text = (
            f"Keys of the recipe are old, or left out and mean something else today: {keys}. See status.recipe.notes."
        )
        yield _News("Normal", Reason.RECIPE_TRANSLATED, text, f"generation {run.metadata.generation}")


def _of_resumption(before: GRPORunStatus, after: GRPORunStatus) -> Iterator[_News]:
    progressing = find(after.conditions, ConditionType.PROGRESSING)
    had_failed = is_true(before.conditions, ConditionType.FAILED)
    if progressing and had_failed and not has_ended(after.conditions):
        yield _News("Normal", Reason.RESUMED, progressing.message, progressing.last_transition_time)


def _of_conditions(before: GRPORunStatus, after: GRPORunStatus) -> Iterator[_News]:
    for condition in after.conditions:
        old = find(before.conditions, condition.type)
        is_new = old is None or _news_of(old) != _news_of(condition)
        if is_new and (condition.type in _GOOD_NEWS or condition.reason == Reason.TRAINING):
            yield _News("Normal", condition.reason, condition.message, condition.last_transition_time)
        elif (is_new and _is_bad(condition)) or _is_loss(condition, before, after):
            yield _News("Warning", condition.reason, condition.message, condition.last_transition_time)


def _news_of(condition: Condition) -> tuple[str, ...]:
    """Another checkpoint that is damaged is another loss."""
    said = (condition.status, condition.reason)
    return (*said, condition.message) if condition.reason == Reason.CHECKPOINT_DAMAGED else said


def _of_benchmarks(before: GRPORunStatus, after: GRPORunStatus) -> Iterator[_News]:
    was_over = {entry.target for entry in before.benchmarks if entry.phase in BENCHMARK_OVER}
    for entry in after.benchmarks:
        if entry.target not in was_over and entry.phase is BenchmarkPhase.SUCCEEDED:
            scores = [
                f"{task} {metric} {value:g}" for task, found in entry.scores.items() for metric, value in found.items()
            ]
            yield _News("Normal", Reason.BENCHMARK_SUCCEEDED, f"{entry.target}: {', '.join(scores)}.", entry.target)
        elif entry.target not in was_over and entry.phase is BenchmarkPhase.FAILED:
            yield _News("Warning", Reason.BENCHMARK_FAILED, f"{entry.target}: {entry.message}", entry.target)


def _is_bad(condition: Condition) -> bool:
    is_told_whatever_its_status = condition.type is ConditionType.FAILED or condition.reason == Reason.RECIPE_CHANGED
    return is_told_whatever_its_status or _is_trouble(condition)


def _is_trouble(condition: Condition) -> bool:
    if condition.status != "False" or condition.reason in _WITHOUT_PODS:
        return False
    if condition.type in _PODS:
        return condition.reason in POD_TROUBLES or condition.reason in _LOSSES
    if condition.type is ConditionType.PROGRESSING:
        return condition.reason not in POD_TROUBLES  # told by the pods' own conditions
    if condition.type is ConditionType.BENCHMARKED:
        return condition.reason in (Reason.NO_BENCHMARK_IMAGE, Reason.CHILD_REFUSED, Reason.NAME_TAKEN)
    return condition.type in (ConditionType.ACCEPTED, ConditionType.STORAGE_READY, ConditionType.CHECKPOINT_HEALTHY)


def _is_loss(condition: Condition, before: GRPORunStatus, after: GRPORunStatus) -> bool:
    """A generator that was ready is so no more, and the run goes on."""
    fewer = after.generators.ready < before.generators.ready
    is_wanted = condition.status == "True" or condition.reason in (Reason.RUN_ENDED, Reason.SUSPENDED)
    return condition.type is ConditionType.GENERATORS_READY and fewer and not is_wanted


def _event(run: GRPORun, after: GRPORunStatus, news: _News) -> RunEvent:
    # With its time: the same may happen again in one attempt, and then it is news.
    identity = f"{run.metadata.uid} {after.attempt} {news.since} {news.reason} {news.note}"
    digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
    return RunEvent(name=f"{run.metadata.name}.{digest}", type=news.type, reason=news.reason, note=_cut(news.note))


def _cut(note: str) -> str:
    """A character that does not fit as a whole is left out."""
    return note.encode()[:NOTE_BYTES].decode(errors="ignore")


def event_manifest(run: GRPORun, event: RunEvent, reporter: str, now: datetime) -> Manifest:
    return {
        "apiVersion": EVENT.api_version,
        "kind": EVENT.kind,
        "metadata": {"name": event.name, "namespace": run.metadata.namespace},
        "eventTime": micro_timestamp(now),
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
