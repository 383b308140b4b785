"""Attempts that end without any fault of the run: counted apart, never the run's end, and in no hot loop."""

from datetime import timedelta

import pytest

from grpo_contract.failure import PodReason
from grpo_contract.progress import Steps
from grpo_operator.api.run import GRPORun
from grpo_operator.api.status import ConditionType, LastFailure, Phase
from grpo_operator.reconcile.disruption import is_disruption
from grpo_operator.reconcile.events import events_of
from grpo_operator.reconcile.failure import Cause, should_restart
from grpo_operator.reconcile.observed import ObservedPod
from grpo_operator.reconcile.reasons import Reason
from grpo_operator.reconcile.restart import start_of
from unit.desired_inputs import make_run
from unit.observed_inputs import (
    NAME,
    NO_GPUS,
    NOW,
    ago,
    failed_learner,
    failure_text,
    job_condition,
    look,
    make_claim,
    make_job,
    make_pod,
    message,
    no_room,
    said,
    then,
    with_conditions,
    written,
)

FAILED, PROGRESSING = ConditionType.FAILED, ConditionType.PROGRESSING
CLAIM = make_claim(f"{NAME}-volume")
STARTED = {"started_at": ago(9000)}
STEPS_OF_THE_ATTEMPT = Steps(step=7, max_steps=20, seconds_per_step=2.0)


def disrupted(attempt: int, reason: str = "EvictionByEvictionAPI") -> ObservedPod:
    gone = {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": "Drained."}
    return failed_learner(attempt=attempt, exit_code=143, status={"phase": "Failed", "conditions": [gone]})


def end_of(attempt: int, pod: ObservedPod, run: GRPORun) -> GRPORun:
    """The run after a look at this end of this attempt."""
    return then(run, look(run, make_job(attempt, conditions=(job_condition("Failed"),)), pod, CLAIM))


def asked(attempt: int) -> ObservedPod:
    text = failure_text(PodReason.LEARNER_ASKED_TO_END, "Step 7 is saved.")
    return failed_learner(attempt=attempt, exit_code=143, text=text)


def deleted(attempt: int) -> ObservedPod:
    return failed_learner(
        attempt=attempt, exit_code=143, at_s=15, deletionTimestamp=ago(-10), deletionGracePeriodSeconds=30
    )


def of_own_limit(attempt: int, reason: str) -> ObservedPod:
    return failed_learner(
        attempt=attempt, exit_code=137, status={"phase": "Failed", "reason": reason, "message": "Full."}
    )


ENDS = {
    "evicted by the API": (disrupted(2), "Disrupted", True),
    "preempted": (disrupted(2, "PreemptionByScheduler"), "Disrupted", True),
    "on a node that was lost": (disrupted(2, "DeletionByTaintManager"), "Disrupted", True),
    "evicted by a node under pressure, or that is shut down": (disrupted(2, "TerminationByKubelet"), "Disrupted", True),
    "not taken by its node after a restart of that": (of_own_limit(2, "UnexpectedAdmissionError"), "Disrupted", True),
    "on a node that was restarted, by containerd": (failed_learner(attempt=2, exit_code=255, reason="Unknown"), "Disrupted", True),
    "on a node that was restarted, by its kubelet": (failed_learner(attempt=2, exit_code=137, reason="ContainerStatusUnknown"), "Disrupted", True),
    "with the code of that, but seen": (failed_learner(attempt=2, exit_code=255), "LearnerError", False),
    "deleted": (deleted(2), "LearnerPodLost", True),
    "asked to end": (asked(2), "LearnerAskedToEnd", True),
    "a container that ended": (failed_learner(attempt=2), "LearnerError", False),
    "out of memory": (failed_learner(attempt=2, exit_code=137, reason="OOMKilled"), "OOMKilled", False),
    "too much on its node's disk": (of_own_limit(2, "Evicted"), "PodLimitExceeded", False),
    "too long for its template": (of_own_limit(2, "DeadlineExceeded"), "PodLimitExceeded", False),
}  # fmt: skip


@pytest.mark.parametrize("case", ENDS)
def test_what_counts_against_max_restarts(case: str) -> None:
    pod, reason, is_apart = ENDS[case]
    before = with_conditions(make_run(maxRestarts=5), attempt=2, **STARTED)
    run = end_of(2, pod, before)
    assert run.status.last_failure is not None
    assert run.status.last_failure.reason == reason
    assert (run.status.attempt, run.status.phase) == (3, Phase.RESTARTING)
    assert (run.status.learners.restarts, run.status.disruptions) == ((1, 1) if is_apart else (2, 0))
    last = with_conditions(make_run(maxRestarts=1), attempt=2, **STARTED)
    run = end_of(2, pod, last)
    assert said(run.status, FAILED) == (None if is_apart else ("True", "MaxRestartsExceeded"))


@pytest.mark.parametrize(("step", "is_apart"), [(70, True), (0, False)])
def test_an_attempt_that_waited_in_vain_for_room_for_a_learner(step: int, is_apart: bool) -> None:
    """The pod that found no node is gone before the Job says that it has failed. A run that never made a step may ask for too
    much."""
    run = with_conditions(make_run(maxRestarts=5, learners={"replicas": 2}), attempt=2, **STARTED)
    run = run.model_copy(update={"status": run.status.model_copy(update={"progress": Steps(step=step)})})
    pending = make_pod(index=1, attempt=2, phase="Pending", status={"conditions": [no_room(800)]})
    run = then(run, look(run, make_job(2), make_pod(attempt=2), pending, CLAIM))
    assert said(run.status, ConditionType.LEARNERS_READY) == ("False", "Unschedulable")
    text = failure_text(PodReason.RENDEZVOUS_TIMEOUT, "Learner 1 was not there within 900 s.")
    alone = failed_learner(attempt=2, text=text)
    run = then(run, look(run, make_job(2), alone, CLAIM))
    run = end_of(2, alone, run)
    failure = run.status.last_failure
    assert failure is not None
    assert failure.reason == ("Disrupted" if is_apart else "RendezvousTimeout")
    assert ("The cluster had no room" in failure.message and NO_GPUS.rstrip(".") in failure.message) is is_apart
    assert (run.status.learners.restarts, run.status.disruptions) == ((1, 1) if is_apart else (2, 0))


def test_a_learner_that_is_deleted_with_the_others_hides_no_failure() -> None:
    """Of a container that is gone before it is looked at the kubelet does not know how it ended."""
    failed = failed_learner(attempt=2)
    taken_along = failed_learner(
        *(1, 2), exit_code=137, reason="ContainerStatusUnknown", at_s=1,
        deletionTimestamp=ago(-27), deletionGracePeriodSeconds=30,
    )  # fmt: skip
    run = with_conditions(make_run(learners={"replicas": 2}), attempt=2, **STARTED)
    run = then(run, look(run, make_job(2, conditions=(job_condition("Failed"),)), failed, taken_along, CLAIM))
    assert run.status.last_failure is not None
    assert (run.status.last_failure.reason, run.status.disruptions) == ("LearnerError", 0)


def test_a_limit_of_the_pods_own_is_named_with_its_remedy() -> None:
    run = end_of(1, of_own_limit(1, "Evicted"), make_run())
    assert run.status.last_failure is not None
    assert run.status.last_failure.message == (
        f"Pod {NAME}-learner-1-0-x went beyond a limit of its own (Evicted: Full): raise it, in learners.resources "
        "(ephemeral-storage) or learners.podTemplate (sizeLimit of an emptyDir volume, activeDeadlineSeconds)."
    )


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (Reason.DISRUPTED, True),
        (Reason.LEARNER_POD_LOST, True),
        (Reason.LEARNER_NODE_LOST, True),
        (PodReason.LEARNER_ASKED_TO_END, True),
        (PodReason.GENERATORS_LOST, False),
        (Reason.OOM_KILLED, False),
    ],
)
@pytest.mark.parametrize(("attempt", "max_restarts"), [(1, 0), (9, 5)])
def test_disruptions_alone_are_always_followed_by_another_attempt(
    reason: str, expected: bool, attempt: int, max_restarts: int
) -> None:
    assert is_disruption(reason) is expected
    assert should_restart(Cause(reason, "m"), attempt, max_restarts) is expected


def test_a_run_without_restarts_outlives_a_lost_node() -> None:
    run = make_run(maxRestarts=0)
    plan = look(run, make_job(), make_pod(node="n1", deletionTimestamp=ago(60)))
    assert said(plan, FAILED) is None
    assert (plan.status.attempt, plan.status.disruptions, plan.status.learners.restarts) == (2, 1, 0)


def test_failures_before_and_after_count_as_if_there_had_been_no_disruption() -> None:
    run = end_of(1, failed_learner(), with_conditions(make_run(maxRestarts=1), **STARTED))
    for attempt in (2, 3, 4):
        run = end_of(attempt, disrupted(attempt), run)
    assert (run.status.attempt, run.status.disruptions, run.status.learners.restarts) == (5, 3, 1)
    ended = end_of(5, failed_learner(attempt=5), run)
    assert said(ended.status, FAILED) == ("True", "MaxRestartsExceeded")
    assert (ended.status.disruptions, ended.status.learners.restarts) == (3, 1)
    raised = ended.model_copy(update={"spec": ended.spec.model_copy(update={"max_restarts": 2})})
    assert (look(raised).status.attempt, look(raised).status.learners.restarts) == (6, 2)


def test_a_disruption_is_told_with_their_number() -> None:
    before = with_conditions(make_run(), attempt=4, disruptions=2, **STARTED)
    run = end_of(4, disrupted(4), before)
    pod = f"{NAME}-learner-4-0-x"
    why = f"Pod {pod} was taken away by the cluster (EvictionByEvictionAPI: Drained)"
    sentence = f"Attempt 4 was ended by a disruption ({why}). {start_of(run, 5)}"
    count = " Disruptions have ended 3 attempts of the run; spec.maxRestarts does not count them."
    (progressing,) = [entry for entry in run.status.conditions if entry.type is PROGRESSING]
    assert (progressing.status, progressing.reason, progressing.message) == ("True", "Restarting", sentence + count)
    (event,) = events_of(before, run.status)
    assert (event.type, event.reason) == ("Warning", "Disrupted")
    assert event.note == (
        f"Attempt 4 was ended by disruption number 3 of the run, which spec.maxRestarts does not count: {why}."
    )
    later = look(run, make_job(5), make_pod(attempt=5), CLAIM)
    assert message(later, PROGRESSING) == start_of(run, 5) + count


def test_a_run_that_is_disrupted_for_ever_says_so_and_goes_on() -> None:
    run = with_conditions(make_run(maxRestarts=0), **STARTED)
    told = []
    for attempt in range(1, 31):
        before = run
        run = end_of(attempt, disrupted(attempt), run)
        told.append([event.reason for event in events_of(before, run.status)])
        run = then(run, look(run, make_job(attempt + 1), make_pod(attempt=attempt + 1), CLAIM))
        if attempt >= 3:
            assert said(run.status, PROGRESSING) == ("False", "KeepsBeingDisrupted")
    assert told == [["Disrupted"], ["Disrupted"], ["KeepsBeingDisrupted", "Disrupted"], *([["Disrupted"]] * 27)]
    assert (run.status.phase, run.status.attempt, run.status.disruptions) == (Phase.RESTARTING, 31, 30)
    assert run.status.learners.restarts == 0
    (progressing,) = [entry for entry in run.status.conditions if entry.type is PROGRESSING]
    assert progressing.message.startswith(
        "The last 30 attempts ended before any of them had made a step, the last one by a disruption: status.lastFailure says "
        "what took its pods away. "
    )


def test_a_step_ends_a_row_of_disruptions() -> None:
    run = with_conditions(make_run(), attempt=4, disruptions=3, attempts_without_step=3, progress=STEPS_OF_THE_ATTEMPT)
    run = end_of(4, disrupted(4), run)
    assert (run.status.disruptions, run.status.attempts_without_step) == (4, 0)
    assert said(run.status, PROGRESSING) == ("True", "Restarting")


def test_a_failure_without_a_step_goes_on_with_the_row_but_is_no_disruption() -> None:
    run = end_of(
        4, failed_learner(attempt=4), with_conditions(make_run(), attempt=4, disruptions=3, attempts_without_step=3)
    )
    assert (run.status.disruptions, run.status.attempts_without_step) == (3, 4)
    assert said(run.status, PROGRESSING) == ("True", "Restarting")


def test_so_does_a_suspension() -> None:
    status = {"attempt": 4, "disruptions": 3, "attempts_without_step": 3, "suspended_at": ago(60)}
    plan = look(with_conditions(make_run(), **STARTED, **status), CLAIM)
    assert (plan.status.attempt, plan.status.disruptions, plan.status.attempts_without_step) == (5, 3, 0)
    assert said(plan, PROGRESSING) == ("True", "Restarting")


def test_a_failure_for_good_ends_a_row_of_disruptions() -> None:
    """Also for the run that goes on when its maxRestarts are raised."""
    status = {"attempt": 4, "disruptions": 3, "attempts_without_step": 3}
    run = end_of(4, failed_learner(attempt=4), with_conditions(make_run(maxRestarts=0), **status))
    assert said(run.status, ConditionType.FAILED) == ("True", "MaxRestartsExceeded")
    run = run.model_copy(update={"spec": run.spec.model_copy(update={"max_restarts": 1})})
    plan = look(run)
    assert (plan.status.attempt, plan.status.attempts_without_step) == (5, 0)
    assert said(plan, PROGRESSING) == ("True", "Restarting")


@pytest.mark.parametrize("reason", ["Disrupted", "LearnerError"])
@pytest.mark.parametrize(
    ("in_a_row", "pause_s"), [(0, 0), (1, 0), (2, 10), (3, 20), (4, 40), (5, 80), (6, 160), (7, 300), (1000, 300)]
)
def test_the_pause_grows_as_long_as_no_step_is_made(in_a_row: int, pause_s: int, reason: str) -> None:
    failure = LastFailure(attempt=1008, time=ago(0), reason=reason, message="m")
    status = {"attempt": 1009, "disruptions": 1000, "attempts_without_step": in_a_row, "last_failure": failure}
    run = with_conditions(make_run(maxRestarts=99), **STARTED, **status)
    job = f"Job/{NAME}-learner-1009"
    assert job in written(look(run, CLAIM, now=NOW + timedelta(seconds=pause_s)))
    if pause_s:
        early = look(run, CLAIM, now=NOW + timedelta(seconds=pause_s - 1))
        assert job not in written(early)
        assert early.look_again_s == 1


def test_a_failure_after_steps_is_followed_by_the_next_attempt_at_once() -> None:
    run = with_conditions(make_run(), attempt=3, attempts_without_step=2, progress=STEPS_OF_THE_ATTEMPT)
    run = end_of(3, failed_learner(attempt=3), run)
    assert run.status.attempts_without_step == 0
    assert f"Job/{NAME}-learner-4" in written(look(run, CLAIM))


def test_a_disrupted_run_still_ends_when_its_time_is_over() -> None:
    run = with_conditions(make_run(activeDeadlineSeconds=600), attempt=9, disruptions=8, started_at=ago(600))
    assert said(look(run, make_job(9), make_pod(attempt=9), CLAIM), FAILED) == ("True", "DeadlineExceeded")
