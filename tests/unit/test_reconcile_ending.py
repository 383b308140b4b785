"""How a run says that it has failed and how it is tried again; and a run that goes on because maxRestarts was raised."""

from datetime import timedelta
from typing import Any

import pytest

from grpo_contract.failure import PodReason
from grpo_contract.progress import CheckpointProgress, Steps
from grpo_operator.api.run import GRPORun
from grpo_operator.api.status import ConditionType, Phase
from grpo_operator.reconcile.ending import judge_failure, should_resume
from grpo_operator.reconcile.events import events_of
from grpo_operator.reconcile.failure import Cause
from grpo_operator.reconcile.restart import start_of
from unit.desired_inputs import make_run
from unit.observed_inputs import (
    NAME,
    NOW,
    ago,
    all_children,
    failed_learner,
    failure_text,
    job_condition,
    look,
    make_condition,
    make_deployment,
    make_job,
    make_pod,
    message,
    said,
    then,
    with_conditions,
    written,
)

FAILED, SUCCEEDED = ConditionType.FAILED, ConditionType.SUCCEEDED
LEARNERS, GENERATORS = ConditionType.LEARNERS_READY, ConditionType.GENERATORS_READY
WEIGHTS, PROGRESSING = ConditionType.WEIGHTS_IN_SYNC, ConditionType.PROGRESSING

CHECKPOINT = CheckpointProgress(step=100, time=ago(60))
BROKEN = Cause("LearnerError", "It broke.")
MISTAKEN = Cause("DatasetNotFound", "recipe.dataset_name: correct it.", is_users_mistake=True)

AGAIN = "recipe.dataset_name: correct it. To try again, delete this run and apply the corrected one."
GOES_ALONG = (
    " Its volume goes along, with all that the run has saved, since spec.storage has neither retain nor claimName: copy "
    "first what you need of it."
)
RAISE = (
    "Attempt 3 failed and maxRestarts is 2: It broke. Raise spec.maxRestarts to 3 or more, and the run goes on from "
)

SENTENCES: dict[str, tuple[Cause, dict[str, Any], dict[str, Any], str]] = {
    "out of restarts, with a checkpoint": (
        BROKEN, {}, {"checkpoint": CHECKPOINT}, f"{RAISE}the newest checkpoint, of step 100 or later.",
    ),
    "out of restarts, without one": (
        BROKEN, {}, {}, f"{RAISE}the beginning: the run has written no checkpoint yet.",
    ),
    "a mistake, with nothing to lose": (MISTAKEN, {}, {}, AGAIN),
    "a mistake, with a checkpoint": (MISTAKEN, {}, {"checkpoint": CHECKPOINT}, AGAIN + GOES_ALONG),
    "a mistake, with a model": (MISTAKEN, {}, {"model": "/volume/m"}, AGAIN + GOES_ALONG),
    "a mistake, and a claim that is kept": (
        MISTAKEN, {"storage": {"size": "5Gi", "retain": True}}, {"checkpoint": CHECKPOINT}, AGAIN,
    ),
    "a mistake, and the user's claim": (MISTAKEN, {"storage": {"claimName": "mine"}}, {"checkpoint": CHECKPOINT}, AGAIN),
}  # fmt: skip


@pytest.mark.parametrize("case", SENTENCES)
def test_what_a_failed_run_says(case: str) -> None:
    cause, spec, status, sentence = SENTENCES[case]
    ending = judge_failure(with_conditions(make_run(maxRestarts=2, **spec), **status), 3, cause)
    reason = "DatasetNotFound" if cause is MISTAKEN else "MaxRestartsExceeded"
    assert (ending.type, ending.status, ending.reason) == (FAILED, "True", reason)
    assert ending.message == sentence


@pytest.mark.parametrize(
    ("kind", "status", "reason", "attempt", "expected"),
    [
        (FAILED, "True", "MaxRestartsExceeded", 3, False),
        (FAILED, "True", "MaxRestartsExceeded", 2, True),
        (FAILED, "True", "DatasetNotFound", 2, False),
        (FAILED, "False", "MaxRestartsExceeded", 2, False),
        (SUCCEEDED, "True", "Completed", 2, False),
    ],
)
def test_should_resume(kind: ConditionType, status: str, reason: str, attempt: int, expected: bool) -> None:
    run = with_conditions(make_run(maxRestarts=2), make_condition(kind, status, reason))
    assert should_resume(run, attempt) is expected


LOST = failed_learner(attempt=2, text=failure_text(PodReason.GENERATORS_LOST, "No generator answers."))
FAILED_JOB = make_job(2, conditions=(job_condition("Failed"),))
LATER = NOW + timedelta(seconds=100)


def out_of_restarts() -> GRPORun:
    """By the failure of attempt 2."""
    steps = Steps(step=107, max_steps=200, seconds_per_step=2.0, eta_seconds=186.0)
    run = with_conditions(
        make_run(maxRestarts=1), started_at=ago(900), attempt=2, checkpoint=CHECKPOINT, progress=steps
    )
    run = then(run, look(run, FAILED_JOB, LOST, make_deployment()))
    assert said(run.status, FAILED) == ("True", "MaxRestartsExceeded")
    return run


def raised(run: GRPORun, max_restarts: int) -> GRPORun:
    return run.model_copy(update={"spec": run.spec.model_copy(update={"max_restarts": max_restarts})})


class TestResumption:
    def test_a_run_goes_on_when_max_restarts_is_raised(self) -> None:
        ended = out_of_restarts()
        plan = look(raised(ended, 2), FAILED_JOB, LOST, now=LATER)
        assert (written(plan), plan.delete, plan.look_again_s) == (set(), (), 0)
        assert said(plan, FAILED) is None
        assert plan.status.finished_at is None
        assert (plan.status.attempt, plan.status.learners.restarts) == (3, 2)
        assert plan.status.phase is Phase.RESTARTING
        assert plan.status.last_failure == ended.status.last_failure
        assert plan.status.checkpoint == CHECKPOINT
        assert plan.status.progress == Steps(step=107, max_steps=200)
        assert said(plan, GENERATORS) == ("False", "Starting")
        assert said(plan, LEARNERS) == ("False", "Restarting")
        assert said(plan, WEIGHTS) == ("Unknown", "NotKnownYet")
        assert said(plan, PROGRESSING) == ("True", "Restarting")

    def test_it_is_told_in_one_event(self) -> None:
        run = raised(out_of_restarts(), 2)
        plan = look(run, FAILED_JOB, LOST, now=LATER)
        sentence = "spec.maxRestarts is 2 now, and the run goes on. " + start_of(run, 3)
        assert message(plan, PROGRESSING) == sentence
        (event,) = events_of(run, plan.status)
        assert (event.type, event.reason, event.note) == ("Normal", "Resumed", sentence)
        resumed = then(run, plan)
        assert events_of(resumed, look(resumed, FAILED_JOB, LOST, now=LATER).status) == []

    def test_what_was_removed_at_the_end_is_made_again(self) -> None:
        run = raised(out_of_restarts(), 2)
        run = then(run, look(run, FAILED_JOB, LOST, now=LATER))
        kept = [child for child in all_children(run, 2) if child.kind not in ("Job", "Deployment")]
        plan = look(run, FAILED_JOB, LOST, *kept, now=LATER)
        assert written(plan) == {f"Job/{NAME}-learner-3", f"Service/{NAME}-learner", f"Deployment/{NAME}-generator"}
        assert plan.delete == (FAILED_JOB,)
        assert plan.status.attempt == 3, "it goes on once for each failure"

    def test_all_is_made_again_if_nothing_is_left(self) -> None:
        run = raised(out_of_restarts(), 2)
        run = then(run, look(run, now=LATER))
        wanted = {child.ref for child in all_children(run, 3)}
        assert {tuple(name.split("/")) for name in written(look(run, now=LATER))} == wanted

    def test_it_stays_as_it_is_as_long_as_nothing_is_raised(self) -> None:
        run = out_of_restarts()
        assert look(run, FAILED_JOB, LOST, now=LATER).status == run.status
        assert look(raised(run, 0), FAILED_JOB, LOST, now=LATER).status == run.status

    def test_the_next_failure_beyond_the_new_limit_ends_it_again(self) -> None:
        run = raised(out_of_restarts(), 2)
        run = then(run, look(run, FAILED_JOB, LOST, now=LATER))
        plan = look(run, make_job(3, conditions=(job_condition("Failed"),)), failed_learner(attempt=3), now=LATER)
        assert said(plan, FAILED) == ("True", "MaxRestartsExceeded")
        assert message(plan, FAILED).startswith("Attempt 3 failed and maxRestarts is 2: ")
        assert said(look(then(raised(run, 3), plan), now=LATER), FAILED) is None

    def test_it_goes_on_without_a_pause(self) -> None:
        ended = out_of_restarts()
        ended = ended.model_copy(update={"status": ended.status.model_copy(update={"attempts_without_step": 5})})
        run = raised(ended, 2)
        run = then(run, look(run, FAILED_JOB, LOST))
        assert f"Job/{NAME}-learner-3" in written(look(run, FAILED_JOB, LOST))

    def test_a_learner_that_may_still_write_is_waited_for(self) -> None:
        """The run had ended by a learner on a node that does not answer."""
        run = raised(out_of_restarts(), 2)
        leaving = make_pod(attempt=2, deletionTimestamp=ago(-25))
        early = NOW + timedelta(seconds=84)
        run = then(run, look(run, FAILED_JOB, leaving, now=early))
        assert f"Job/{NAME}-learner-3" not in written(look(run, leaving, now=early))
        assert f"Job/{NAME}-learner-3" in written(look(run, leaving, now=NOW + timedelta(seconds=85)))
