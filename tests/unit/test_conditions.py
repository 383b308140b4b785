"""Conditions: dated and ordered; the phase that follows from them; the Events that tell of their changes."""

from datetime import timedelta

import pytest

from grpo_operator.api.status import (
    Condition,
    ConditionType,
    GeneratorStatus,
    GRPORunStatus,
    LastFailure,
    Phase,
    RecipeNote,
    RecipeStatus,
)
from grpo_operator.reconcile.conditions import MESSAGE_CHARACTERS, Statement, set_condition, set_conditions
from grpo_operator.reconcile.events import NOTE_BYTES, event_manifest, events_of
from grpo_operator.reconcile.phase import has_ended, phase_of
from unit.desired_inputs import make_run
from unit.observed_inputs import NOW, make_condition, with_conditions

ACCEPTED, STORAGE = ConditionType.ACCEPTED, ConditionType.STORAGE_READY
LEARNERS, GENERATORS = ConditionType.LEARNERS_READY, ConditionType.GENERATORS_READY
PROGRESSING, SUCCEEDED, FAILED = ConditionType.PROGRESSING, ConditionType.SUCCEEDED, ConditionType.FAILED
SUSPENDED = ConditionType.SUSPENDED
NOW_TEXT, LATER, LATER_TEXT = "2026-06-01T12:00:00Z", NOW + timedelta(minutes=1), "2026-06-01T12:01:00Z"


def test_a_new_condition_is_dated() -> None:
    (condition,) = set_condition([], Statement(ACCEPTED, "True", "Accepted", "Yes."), 3, NOW)
    assert condition.last_transition_time == NOW_TEXT
    assert condition.observed_generation == 3


@pytest.mark.parametrize(("status", "expected"), [("True", NOW_TEXT), ("False", LATER_TEXT)])
def test_the_date_moves_with_the_status_only(status: str, expected: str) -> None:
    old = set_condition([], Statement(ACCEPTED, "True", "Accepted", "Yes."), 1, NOW)
    assert status in ("True", "False")
    (new,) = set_condition(
        old, Statement(ACCEPTED, "True" if status == "True" else "False", "Other", "Else."), 2, LATER
    )
    assert new.last_transition_time == expected
    assert (new.reason, new.message, new.observed_generation) == ("Other", "Else.", 2)


def test_others_stay_and_the_order_is_fixed() -> None:
    statements = [Statement(kind, "True", "R", "m") for kind in reversed(ConditionType)]
    conditions = set_conditions([], statements, 1, NOW)
    assert [condition.type for condition in conditions] == list(ConditionType)
    again = set_condition(conditions, Statement(STORAGE, "False", "R", "m"), 1, NOW)
    assert [condition.type for condition in again] == list(ConditionType)
    assert sum(condition.status == "True" for condition in again) == len(ConditionType) - 1


def test_a_message_that_nobody_reads_to_the_end_is_cut() -> None:
    (condition,) = set_condition([], Statement(ACCEPTED, "True", "R", "x" * 5000), 1, NOW)
    assert len(condition.message) == MESSAGE_CHARACTERS


YES = make_condition(ACCEPTED, "True", "Accepted")
UNREADABLE = [YES, make_condition(PROGRESSING, "Unknown", "ProgressUnreadable")]
PHASES: dict[str, tuple[list[Condition], Phase]] = {
    "nothing said": ([], Phase.PENDING),
    "refused": ([make_condition(ACCEPTED, "False", "OwnedKey")], Phase.PENDING),
    "accepted": ([YES], Phase.STARTING),
    "starting": ([YES, make_condition(PROGRESSING, "True", "Starting")], Phase.STARTING),
    "loading": ([YES, make_condition(PROGRESSING, "True", "Loading")], Phase.STARTING),
    "in trouble": ([YES, make_condition(PROGRESSING, "False", "Unschedulable")], Phase.STARTING),
    "training": ([YES, make_condition(PROGRESSING, "True", "Training")], Phase.RUNNING),
    "saving": ([YES, make_condition(PROGRESSING, "True", "Saving")], Phase.RUNNING),
    "unreadable": (UNREADABLE, Phase.STARTING),
    "waiting for a first generator": (
        [YES, make_condition(PROGRESSING, "True", "WaitingForGenerators")],
        Phase.STARTING,
    ),
    "all generators lost": ([YES, make_condition(PROGRESSING, "False", "WaitingForGenerators")], Phase.RUNNING),
    "succeeded": ([YES, make_condition(SUCCEEDED, "True", "Completed")], Phase.SUCCEEDED),
    "failed": ([YES, make_condition(FAILED, "True", "DatasetNotFound")], Phase.FAILED),
    "suspending": ([YES, make_condition(SUSPENDED, "False", "Suspending")], Phase.SUSPENDING),
    "suspended": (
        [YES, make_condition(PROGRESSING, "False", "Suspended"), make_condition(SUSPENDED, "True", "Suspended")],
        Phase.SUSPENDED,
    ),
    "suspended before it was accepted": ([make_condition(SUSPENDED, "True", "Suspended")], Phase.SUSPENDED),
    "going on": (
        [YES, make_condition(PROGRESSING, "True", "Training"), make_condition(SUSPENDED, "False", "Resumed")],
        Phase.RUNNING,
    ),
    "failed before it was accepted": ([make_condition(FAILED, "True", "ClaimNotFound")], Phase.FAILED),
}


@pytest.mark.parametrize("case", PHASES)
def test_phase(case: str) -> None:
    conditions, phase = PHASES[case]
    assert phase_of(conditions, 1, Phase.STARTING) is phase
    assert phase_of(conditions, 2, Phase.RESTARTING) is (Phase.RESTARTING if phase is Phase.STARTING else phase)
    assert has_ended(conditions) is (phase in (Phase.SUCCEEDED, Phase.FAILED))


def test_a_run_that_cannot_be_read_any_more_may_run_well() -> None:
    assert phase_of(UNREADABLE, 1, Phase.RUNNING) is Phase.RUNNING


EVENTS: dict[str, tuple[list[Condition], list[Condition], list[tuple[str, str]]]] = {
    "nothing new": ([YES], [YES], []),
    "accepted": ([], [YES], []),
    "refused": ([], [make_condition(ACCEPTED, "False", "OwnedKey")], [("Warning", "OwnedKey")]),
    "trouble": ([], [make_condition(LEARNERS, "False", "Unschedulable")], [("Warning", "Unschedulable")]),
    "the same trouble": (
        [make_condition(LEARNERS, "False", "Unschedulable")], [make_condition(LEARNERS, "False", "Unschedulable")], [],
    ),
    "other trouble": (
        [make_condition(LEARNERS, "False", "Unschedulable")], [make_condition(LEARNERS, "False", "ImagePullFailed")],
        [("Warning", "ImagePullFailed")],
    ),
    "trouble is told of the pods, not of progress too": ([], [make_condition(PROGRESSING, "False", "Unschedulable")], []),
    "a refusal while it runs": (
        [], [make_condition(LEARNERS, "False", "ChildRefused"), make_condition(PROGRESSING, "False", "ChildRefused")],
        [("Warning", "ChildRefused")],
    ),
    "the cause of a loss that was told when it was not known": (
        [make_condition(GENERATORS, "False", "GeneratorNotReady")], [make_condition(GENERATORS, "False", "GeneratorEnded")],
        [("Warning", "GeneratorEnded")],
    ),
    "a generator that is not ready any more while another starts": (
        [make_condition(GENERATORS, "False", "Starting")], [make_condition(GENERATORS, "False", "GeneratorNotReady")],
        [("Warning", "GeneratorNotReady")],
    ),
    "the same end of a generator": (
        [make_condition(GENERATORS, "False", "GeneratorEnded")], [make_condition(GENERATORS, "False", "GeneratorEnded")], [],
    ),
    "a generator that is replaced before it was ready": (
        [make_condition(GENERATORS, "False", "Starting")], [make_condition(GENERATORS, "False", "GeneratorReplaced")], [],
    ),
    "starting": ([], [make_condition(LEARNERS, "False", "Starting"), make_condition(PROGRESSING, "True", "Starting")], []),
    "training": ([make_condition(PROGRESSING, "True", "Loading")], [make_condition(PROGRESSING, "True", "Training")], [("Normal", "Training")]),
    "waiting for a first generator": ([], [make_condition(PROGRESSING, "True", "WaitingForGenerators")], []),
    "all generators lost": (
        [make_condition(PROGRESSING, "True", "Training")], [make_condition(PROGRESSING, "False", "WaitingForGenerators")],
        [("Warning", "WaitingForGenerators")],
    ),
    "storage": ([], [make_condition(STORAGE, "False", "ClaimLost")], [("Warning", "ClaimLost")]),
    "storage with a hint": ([], [make_condition(STORAGE, "True", "SingleNodeVolume")], []),
    "success": ([], [make_condition(SUCCEEDED, "True", "Completed"), make_condition(LEARNERS, "False", "RunEnded")], [("Normal", "Completed")]),
    "failure": ([], [make_condition(FAILED, "True", "DatasetNotFound"), make_condition(PROGRESSING, "False", "RunEnded")], [("Warning", "DatasetNotFound")]),
    "a failed run goes on": (
        [make_condition(FAILED, "True", "MaxRestartsExceeded"), make_condition(PROGRESSING, "False", "RunEnded")],
        [make_condition(PROGRESSING, "True", "Restarting")], [("Normal", "Resumed")],
    ),
    "suspending": (
        [make_condition(PROGRESSING, "True", "Training")],
        [make_condition(SUSPENDED, "False", "Suspending"), make_condition(LEARNERS, "False", "Suspended"), make_condition(PROGRESSING, "False", "Suspended")],
        [("Normal", "Suspending")],
    ),
    "suspended": ([make_condition(SUSPENDED, "False", "Suspending")], [make_condition(SUSPENDED, "True", "Suspended")], [("Normal", "Suspended")]),
    "a suspended run goes on": (
        [make_condition(SUSPENDED, "True", "Suspended"), make_condition(PROGRESSING, "False", "Suspended")],
        [make_condition(SUSPENDED, "False", "Resumed"), make_condition(PROGRESSING, "True", "Restarting")], [("Normal", "Resumed")],
    ),
    "still suspended": ([make_condition(SUSPENDED, "True", "Suspended")], [make_condition(SUSPENDED, "True", "Suspended")], []),
    "a recipe that lost a key": ([YES], [make_condition(ACCEPTED, "True", "RecipeChanged")], [("Warning", "RecipeChanged")]),
}  # fmt: skip


@pytest.mark.parametrize("case", EVENTS)
def test_events(case: str) -> None:
    before, after, expected = EVENTS[case]
    run = with_conditions(make_run(), *before)
    told = events_of(run, GRPORunStatus(conditions=after))
    assert [(event.type, event.reason) for event in told] == expected


@pytest.mark.parametrize(("before", "after", "expected"), [(2, 1, ["GeneratorReplaced"]), (2, 2, []), (1, 2, [])])
def test_a_lost_generator_is_told_and_a_wanted_one_is_not(before: int, after: int, expected: list[str]) -> None:
    ready, not_ready = (
        make_condition(GENERATORS, status, reason)
        for status, reason in (("True", "AllReady"), ("False", "GeneratorReplaced"))
    )
    run = with_conditions(make_run(), ready, generators=GeneratorStatus(ready=before))
    told = events_of(run, GRPORunStatus(conditions=[not_ready], generators=GeneratorStatus(ready=after)))
    assert [event.reason for event in told] == expected


@pytest.mark.parametrize("reason", ["Suspended", "RunEnded"])
def test_generators_that_go_with_all_else_are_no_loss(reason: str) -> None:
    ready = make_condition(GENERATORS, "True", "AllReady")
    run = with_conditions(make_run(), ready, generators=GeneratorStatus(ready=2))
    after = GRPORunStatus(conditions=[make_condition(GENERATORS, "False", reason)])
    assert events_of(run, after) == []


def test_generators_that_the_user_took_away_are_no_loss() -> None:
    ready = make_condition(GENERATORS, "True", "AllReady")
    run = with_conditions(make_run(), ready, generators=GeneratorStatus(ready=2))
    assert events_of(run, GRPORunStatus(conditions=[ready], generators=GeneratorStatus(ready=1))) == []


def test_a_failed_attempt_is_told_once() -> None:
    failure = LastFailure(attempt=1, time=NOW_TEXT, reason="GeneratorsLost", message="None answers.")
    after = GRPORunStatus(attempt=2, last_failure=failure)
    (event,) = events_of(make_run(), after)
    assert (event.type, event.reason, event.note) == ("Warning", "GeneratorsLost", "Attempt 1 failed: None answers.")
    assert events_of(with_conditions(make_run(), last_failure=failure), after) == []
    ended = after.model_copy(update={"conditions": [make_condition(FAILED, "True", "MaxRestartsExceeded")]})
    assert [event.reason for event in events_of(make_run(), ended)] == ["MaxRestartsExceeded"]


def test_a_translated_recipe_is_told_once() -> None:
    note = RecipeNote(key="torch_dtype", action="Is dtype today.")
    after = GRPORunStatus(recipe=RecipeStatus(notes=[note, RecipeNote(key="beta", action="Left out.")]))
    (event,) = events_of(make_run(), after)
    assert (event.type, event.reason) == ("Normal", "RecipeTranslated")
    assert event.note == (
        "Keys of the recipe are old, or left out and mean something else today: torch_dtype, beta. "
        "See status.recipe.notes."
    )
    assert events_of(with_conditions(make_run(), recipe=after.recipe), after) == []


def test_the_name_of_an_event_is_that_of_its_news() -> None:
    refused = GRPORunStatus(conditions=[make_condition(ACCEPTED, "False", "OwnedKey")])
    (first,), (second,) = events_of(make_run(), refused), events_of(make_run(), refused)
    (third,) = events_of(make_run(), refused.model_copy(update={"attempt": 2}))
    assert first.name == second.name != third.name
    assert len(first.name) <= 253


def test_the_same_loss_again_is_news() -> None:
    ready = make_condition(GENERATORS, "True", "AllReady")
    run = with_conditions(make_run(), ready, generators=GeneratorStatus(ready=2))
    (first,), (second,) = (
        events_of(
            run,
            GRPORunStatus(
                conditions=[make_condition(GENERATORS, "False", "GeneratorNotReady", since_s)],
                generators=GeneratorStatus(ready=1),
            ),
        )
        for since_s in (60, 0)
    )
    assert (first.reason, first.note) == (second.reason, second.note)
    assert first.name != second.name


def test_a_second_lost_generator_is_news_though_the_condition_is_the_same() -> None:
    not_ready = make_condition(GENERATORS, "False", "GeneratorNotReady")
    run = with_conditions(make_run(), not_ready, generators=GeneratorStatus(ready=2))
    after = GRPORunStatus(conditions=[not_ready], generators=GeneratorStatus(ready=1))
    assert [(event.type, event.reason) for event in events_of(run, after)] == [("Warning", "GeneratorNotReady")]
    assert events_of(with_conditions(run, not_ready, generators=GeneratorStatus(ready=1)), after) == []


def test_the_manifest_of_an_event() -> None:
    refused = make_condition(ACCEPTED, "False", "OwnedKey")
    run = make_run()
    (event,) = events_of(run, GRPORunStatus(conditions=[refused]))
    manifest = event_manifest(run, event, "operator-1", NOW)
    assert manifest["eventTime"] == "2026-06-01T12:00:00.000000Z"
    assert manifest["reportingInstance"] == "operator-1"
    assert manifest["regarding"]["uid"] == run.metadata.uid
    assert manifest["note"] == refused.message


@pytest.mark.parametrize(
    ("message", "note"),
    [
        ("x" * NOTE_BYTES, "x" * NOTE_BYTES),
        ("x" * (NOTE_BYTES + 1), "x" * NOTE_BYTES),
        ("ä" * NOTE_BYTES, "ä" * (NOTE_BYTES // 2)),
        ("x" + "ä" * NOTE_BYTES, "x" + "ä" * (NOTE_BYTES // 2 - 1)),
    ],
    ids=["as long as may be", "longer", "more bytes than characters", "half a character at the end"],
)
def test_a_note_is_cut_by_its_bytes(message: str, note: str) -> None:
    long = make_condition(ACCEPTED, "False", "OwnedKey").model_copy(update={"message": message})
    (event,) = events_of(make_run(), GRPORunStatus(conditions=[long]))
    assert event.note == note
