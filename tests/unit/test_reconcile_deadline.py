"""Looks at a run that may be active for so long: which time counts, and how it ends."""

from datetime import timedelta
from typing import Any

import pytest

from grpo_contract.progress import CheckpointProgress, Steps
from grpo_operator.api.run import GRPORun
from grpo_operator.api.status import ConditionType, Phase
from grpo_operator.reconcile.deadline import exceeded_deadline, seconds_until_deadline
from grpo_operator.reconcile.events import events_of
from unit.desired_inputs import make_run
from unit.observed_inputs import (
    NAME,
    NOW,
    ago,
    failed_learner,
    job_condition,
    look,
    make_claim,
    make_deployment,
    make_job,
    make_pod,
    message,
    said,
    then,
    with_conditions,
)

FAILED, SUCCEEDED, LEARNERS = ConditionType.FAILED, ConditionType.SUCCEEDED, ConditionType.LEARNERS_READY
HOUR = 3600
AT_WORK = (make_job(), make_pod(ready=True), make_deployment(), make_pod("generator", ready=True))
CLAIM = make_claim(f"{NAME}-volume")
SENTENCE = "spec.activeDeadlineSeconds is 3600, and the run has been active for as long."
TO_GO_ON = (
    "To go on, let another run start from its newest checkpoint: learners that have made a step save it at their end."
)


def run_since(started_s: float | None, deadline_s: int | None = HOUR, **status: Any) -> GRPORun:
    """`started_s`: seconds ago; None: never."""
    fields = {} if started_s is None else {"started_at": ago(started_s)}
    return with_conditions(make_run(activeDeadlineSeconds=deadline_s), **fields | status)


def at(seconds: float) -> Any:
    return NOW + timedelta(seconds=seconds)


def with_spec(run: GRPORun, **spec: Any) -> GRPORun:
    return run.model_copy(update={"spec": run.spec.model_copy(update=spec)})


@pytest.mark.parametrize(
    ("run", "is_exceeded", "rest_s"),
    [
        (run_since(HOUR - 1), False, 1),
        (run_since(HOUR), True, None),
        (run_since(HOUR + 1), True, None),
        (run_since(HOUR + 60, inactive_seconds=61), False, 1),
        (run_since(HOUR + 60, inactive_seconds=60), True, None),
        (run_since(9 * HOUR, None), False, None),
        (run_since(None), False, None),
    ],
)
def test_which_time_counts(run: GRPORun, is_exceeded: bool, rest_s: float | None) -> None:
    assert (exceeded_deadline(run, None, NOW) is not None) is is_exceeded
    assert (exceeded_deadline(run, make_job(), NOW) is not None) is is_exceeded
    assert seconds_until_deadline(run, NOW) == rest_s


def test_it_is_looked_at_when_its_time_is_over() -> None:
    run = run_since(HOUR - 5)
    assert look(run, make_job(), make_deployment(), CLAIM).look_again_s == 5


@pytest.mark.parametrize("checkpoint", [CheckpointProgress(step=100, time=ago(60)), None])
def test_a_run_that_has_used_up_its_time_has_failed(checkpoint: CheckpointProgress | None) -> None:
    """Learners save a checkpoint at their end, whatever is known of others."""
    run = run_since(HOUR, checkpoint=checkpoint)
    plan = look(run, *AT_WORK, CLAIM)
    assert (plan.status.phase, said(plan, FAILED)) == (Phase.FAILED, ("True", "DeadlineExceeded"))
    assert message(plan, FAILED) == (
        f"{SENTENCE} {TO_GO_ON} Do not delete this run before that: its volume would go along, since spec.storage has neither "
        "retain nor claimName."
    )
    assert said(plan, LEARNERS) == ("False", "RunEnded")
    assert plan.status.last_failure is not None
    assert (plan.status.last_failure.reason, plan.status.last_failure.message) == ("DeadlineExceeded", SENTENCE)
    assert (plan.status.attempt, plan.status.learners.restarts) == (1, 0)
    assert [(event.type, event.reason) for event in events_of(run, plan.status)] == [("Warning", "DeadlineExceeded")]
    run = then(run, plan)
    clearing = look(run, *AT_WORK, CLAIM)
    assert [child.kind for child in clearing.delete] == ["Job"]
    assert clearing.status == run.status
    leaving = make_pod(deletionTimestamp=ago(-20), deletionGracePeriodSeconds=30)
    saving = look(run, leaving, *AT_WORK[2:], CLAIM, now=at(1))
    assert ([child.kind for child in saving.delete], saving.look_again_s) == ([], 79)
    assert look(run, AT_WORK[1], *AT_WORK[2:], CLAIM, now=at(1)).delete == (), "about to be asked to end"
    for learners in ([], [make_pod(phase="Failed")]):
        cleared = look(run, *learners, *AT_WORK[2:], CLAIM, now=at(20))
        assert ([child.kind for child in cleared.delete], cleared.look_again_s) == (["Deployment"], None)
    for learner in (leaving, AT_WORK[1]):
        late = look(run, learner, *AT_WORK[2:], CLAIM, now=at(80))
        assert [child.kind for child in late.delete] == ["Deployment"], "nobody ends it"
    assert look(with_spec(run, max_restarts=99, active_deadline_seconds=9 * HOUR), CLAIM).status == run.status


def test_a_volume_that_stays_is_nothing_to_be_warned_of() -> None:
    run = with_conditions(make_run(activeDeadlineSeconds=HOUR, storage={"claimName": "mine"}), started_at=ago(HOUR))
    plan = look(run, *AT_WORK, users_claim=make_claim("mine", owner=None, run=None))
    assert message(plan, FAILED) == f"{SENTENCE} {TO_GO_ON}"


def test_a_pause_before_an_attempt_is_no_way_around_it() -> None:
    run = run_since(HOUR, attempt=4)
    assert said(look(run, CLAIM), FAILED) == ("True", "DeadlineExceeded")


def test_what_has_ended_in_time_is_judged_by_itself() -> None:
    complete = make_job(conditions=(job_condition("Complete", since_s=1),))
    run = run_since(HOUR)
    assert said(look(run, complete, make_pod(), CLAIM), FAILED) is None, "its last report is on its way"
    assert said(look(run, complete, make_pod(phase="Succeeded"), CLAIM), SUCCEEDED) == ("True", "Completed")
    failed = make_job(conditions=(job_condition("Failed"),))
    run = then(run, look(run, failed, failed_learner(), CLAIM))
    assert (run.status.phase, run.status.attempt) == (Phase.RESTARTING, 2)
    assert said(look(run, failed, failed_learner(), CLAIM), FAILED) == ("True", "DeadlineExceeded")


def test_a_model_that_is_saved_stays_a_success() -> None:
    plan = look(run_since(HOUR, model="/volume/m", progress=Steps(step=40, max_steps=40)), *AT_WORK, CLAIM)
    assert said(plan, SUCCEEDED) == ("True", "Completed")
    assert message(plan, SUCCEEDED).endswith(f"its evaluation or its pushes may be missing: {SENTENCE}")


def test_suspended_time_does_not_count() -> None:
    run = with_spec(run_since(HOUR - 10), suspend=True)
    run = then(run, look(run, *AT_WORK))
    assert said(run.status, ConditionType.SUSPENDED) == ("False", "Suspending")
    held = look(run, now=at(5000))
    assert (held.status.phase, held.look_again_s) == (Phase.SUSPENDED, None)
    run = with_spec(then(run, held), suspend=False)
    run = then(run, look(run, now=at(7000)))
    assert run.status.inactive_seconds == 7000
    assert said(look(run, CLAIM, now=at(7009)), FAILED) is None
    assert said(look(run, CLAIM, now=at(7010)), FAILED) == ("True", "DeadlineExceeded")


def test_suspensions_add_up() -> None:
    run = run_since(100)
    for begin, end in ((0, 50), (100, 130)):
        run = then(run, look(with_spec(run, suspend=True), now=at(begin)))
        run = then(run, look(with_spec(run, suspend=False), now=at(end)))
    assert run.status.inactive_seconds == 80


def test_a_run_that_was_created_suspended_has_all_its_time_from_its_start() -> None:
    run = with_spec(run_since(None), suspend=True)
    run = then(run, look(run))
    run = with_spec(run, suspend=False)
    run = then(run, look(run, now=at(9 * HOUR)))
    run = then(run, look(run, now=at(9 * HOUR)))
    assert (run.status.started_at, run.status.inactive_seconds) == (ago(-9 * HOUR), 0)


def test_the_time_until_max_restarts_was_raised_does_not_count() -> None:
    run = with_spec(run_since(100), max_restarts=0)
    failed = make_job(conditions=(job_condition("Failed"),)), failed_learner()
    run = then(run, look(run, *failed, CLAIM))
    assert said(run.status, FAILED) == ("True", "MaxRestartsExceeded")
    run = then(run, look(with_spec(run, max_restarts=1), *failed, CLAIM, now=at(5000)))
    assert (run.status.phase, run.status.inactive_seconds) == (Phase.RESTARTING, 5000)


def test_a_clock_that_was_set_back_gives_no_time_back() -> None:
    run = with_spec(run_since(100), suspend=True)
    run = then(run, look(run))
    run = then(run, look(with_spec(run, suspend=False), now=at(-50)))
    assert run.status.inactive_seconds == 0
