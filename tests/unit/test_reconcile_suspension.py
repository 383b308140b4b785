"""Looks at a run that `spec.suspend` holds: who goes when, what is said meanwhile, and how it goes on."""

from datetime import timedelta
from typing import Any

import pytest

from grpo_contract.failure import PodReason
from grpo_contract.progress import CheckpointProgress, Steps
from grpo_operator.api.run import GRPORun
from grpo_operator.api.status import ConditionType, GeneratorStatus, LastFailure, Phase
from grpo_operator.reconcile.events import events_of
from grpo_operator.reconcile.observed import ObservedChild
from grpo_operator.reconcile.plan import Plan
from grpo_operator.reconcile.suspension import SETTLED_S, should_suspend
from grpo_operator.reconcile.world import Reading
from unit.benchmark_inputs import benchmark_job, benchmark_pod, benchmarked_run, entry
from unit.benchmark_inputs import look as look_with_benchmarks
from unit.desired_inputs import make_run
from unit.observed_inputs import (
    EVERYTHING,
    NAME,
    NOW,
    TRAINING,
    ago,
    all_children,
    failed_learner,
    failure_text,
    job_condition,
    look,
    make_claim,
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

SUSPENDED, ACCEPTED, STORAGE = ConditionType.SUSPENDED, ConditionType.ACCEPTED, ConditionType.STORAGE_READY
LEARNERS, GENERATORS = ConditionType.LEARNERS_READY, ConditionType.GENERATORS_READY
WEIGHTS, PROGRESSING = ConditionType.WEIGHTS_IN_SYNC, ConditionType.PROGRESSING
FAILED, SUCCEEDED = ConditionType.FAILED, ConditionType.SUCCEEDED

CHECKPOINT = CheckpointProgress(step=100, time=ago(60))
FROM = "Attempt 2 starts from the newest checkpoint, of step 100 or later."
LEARNER, GENERATOR = make_pod(ready=True), make_pod("generator", ready=True)
SETTLED = NOW + timedelta(seconds=SETTLED_S)
AT_WORK = (make_job(), LEARNER, make_deployment(), GENERATOR)
LEAVING = make_pod(deletionTimestamp=ago(-20), deletionGracePeriodSeconds=30)


def with_suspend(run: GRPORun, value: bool) -> GRPORun:
    return run.model_copy(update={"spec": run.spec.model_copy(update={"suspend": value})})


def training_run(**status: Any) -> GRPORun:
    """In its first attempt, and not to be suspended yet."""
    fields = {
        "started_at": ago(900),
        "checkpoint": CHECKPOINT,
        "progress": Steps(step=107, max_steps=200, seconds_per_step=2.0, eta_seconds=186.0),
        "generators": GeneratorStatus(desired=1, replicas=1, ready=1, first_ready_at=ago(800), weight_version="107"),
    }
    ready = make_condition(LEARNERS, "True", "AllReady", 700), make_condition(GENERATORS, "True", "AllReady", 700)
    training = make_condition(PROGRESSING, "True", "Training", 600)
    accepted = make_condition(ACCEPTED, "True", "Accepted", 900)
    return with_conditions(make_run(), accepted, *ready, training, **fields | status)


def held_run(**status: Any) -> GRPORun:
    """Suspended, with no pods any more."""
    run = with_suspend(training_run(**status), True)
    run = then(run, look(run, *AT_WORK))
    run = then(run, look(run, now=SETTLED))
    assert said(run.status, SUSPENDED) == ("True", "Suspended")
    return run


def removed(plan: Plan) -> list[tuple[str, str]]:
    return sorted(child.ref for child in plan.delete)


def notes(run: GRPORun, plan: Plan) -> list[tuple[str, str, str]]:
    return [(event.type, event.reason, event.note) for event in events_of(run, plan.status)]


@pytest.mark.parametrize(
    ("suspend", "conditions", "expected"),
    [
        (True, None, True),
        (False, None, False),
        (True, (), True),
        (True, (job_condition("Complete"),), False),
        (True, (job_condition("FailureTarget"),), False),
    ],
)
def test_should_suspend(suspend: bool, conditions: tuple[Any, ...] | None, expected: bool) -> None:
    job = None if conditions is None else make_job(conditions=conditions)
    assert should_suspend(make_run(suspend=suspend), job) is expected


class TestSuspending:
    def test_learners_go_first(self) -> None:
        run = with_suspend(training_run(), True)
        plan = look(run, *AT_WORK, reading=Reading(TRAINING))
        assert removed(plan) == [("Job", f"{NAME}-learner-1")]
        assert written(plan) == set()
        assert plan.status.phase is Phase.SUSPENDING
        assert said(plan, SUSPENDED) == ("False", "Suspending")
        assert message(plan, SUSPENDED) == (
            f"spec.suspend is true, and the run is being ended: 2 of its pods have not ended yet, {LEARNER.name} among them. "
            "Learners save a checkpoint first."
        )
        for kind in (LEARNERS, GENERATORS, WEIGHTS, PROGRESSING):
            assert said(plan, kind) == ("False", "Suspended")
        assert plan.status.suspended_at == ago(0)
        assert (plan.status.attempt, plan.status.learners.restarts, plan.status.last_failure) == (1, 0, None)
        assert plan.status.progress == Steps(step=107, max_steps=200)
        assert plan.status.checkpoint == CHECKPOINT
        assert (plan.status.learners.ready, plan.status.generators.ready, plan.status.generators.replicas) == (0, 0, 0)
        assert plan.status.generators.first_ready_at == ago(800)
        assert notes(run, plan) == [("Normal", "Suspending", message(plan, SUSPENDED))]

    def test_generators_wait_for_learners_that_save(self) -> None:
        run = with_suspend(training_run(), True)
        run = then(run, look(run, *AT_WORK))
        plan = look(run, LEAVING, make_deployment(), GENERATOR, now=NOW + timedelta(seconds=10))
        assert (removed(plan), plan.status, plan.look_again_s) == ([], run.status, 50)

    def test_generators_go_when_no_learner_is_left(self) -> None:
        run = with_suspend(training_run(), True)
        run = then(run, look(run, *AT_WORK))
        plan = look(run, make_deployment(), GENERATOR)
        assert removed(plan) == [("Deployment", f"{NAME}-generator")]
        assert said(plan, SUSPENDED) == ("False", "Suspending")
        assert GENERATOR.name in message(plan, SUSPENDED)

    def test_a_learner_that_has_ended_and_is_still_to_be_seen_holds_nobody_up(self) -> None:
        run = with_suspend(training_run(), True)
        plan = look(run, make_pod(phase="Succeeded"), failed_learner(1), make_deployment())
        assert removed(plan) == [("Deployment", f"{NAME}-generator")]

    def test_a_learner_on_a_lost_node_holds_nobody_up_for_ever_and_is_no_failure(self) -> None:
        run = with_suspend(training_run(), True)
        run = then(run, look(run, *AT_WORK))
        stuck = make_pod(node="n1", deletionTimestamp=ago(0))
        late = NOW + timedelta(seconds=59)
        assert (removed(look(run, stuck, make_deployment(), now=late)), look(run, stuck, now=late).look_again_s) == (
            [],
            1,
        )
        late = NOW + timedelta(seconds=60)
        assert removed(look(run, stuck, make_deployment(), now=late)) == [("Deployment", f"{NAME}-generator")]
        plan = look(run, stuck, now=late)
        assert said(plan, SUSPENDED) == ("True", "Suspended")
        assert (plan.status.attempt, plan.status.last_failure) == (1, None)

    def test_a_learner_that_nobody_ends_holds_up_generators_for_a_minute(self) -> None:
        """Its Job was deleted with --cascade=orphan."""
        run = with_suspend(training_run(), True)
        run = then(run, look(run, *AT_WORK))
        early, late = (NOW + timedelta(seconds=seconds) for seconds in (59, 60))
        plan = look(run, LEARNER, make_deployment(), now=early)
        assert (removed(plan), plan.look_again_s) == ([], 1)
        plan = look(run, LEARNER, make_deployment(), now=late)
        assert removed(plan) == [("Deployment", f"{NAME}-generator")]
        assert said(plan, SUSPENDED) == ("False", "Suspending")
        assert LEARNER.name in message(plan, SUSPENDED)
        assert message(plan, SUSPENDED).endswith("runs on although its Job is gone, and nobody ends it: delete it.")

    def test_generators_wait_for_learners_whose_job_could_not_be_removed_for_long(self) -> None:
        """The API server was away."""
        run = with_suspend(training_run(), True)
        run = then(run, look(run, *AT_WORK))
        late, later, last = (NOW + timedelta(seconds=seconds) for seconds in (90, 91, 150))
        plan = look(run, *AT_WORK, now=late)
        assert removed(plan) == [("Job", f"{NAME}-learner-1")]
        run = then(run, plan)
        plan = look(run, LEARNER, make_deployment(), GENERATOR, now=later)
        assert (removed(plan), plan.look_again_s) == ([], 59)
        assert "Learners save a checkpoint first." in message(plan, SUSPENDED)
        plan = look(run, LEARNER, make_deployment(), GENERATOR, now=last)
        assert removed(plan) == [("Deployment", f"{NAME}-generator")]

    def test_a_run_without_pods_is_suspended(self) -> None:
        run = with_suspend(training_run(), True)
        run = then(run, look(run, *AT_WORK))
        kept = [child for child in all_children(run) if child.kind not in ("Job", "Deployment")]
        early = look(run, *kept)
        assert (said(early, SUSPENDED), early.look_again_s) == (("False", "Suspending"), 3), "a pod may be told of late"
        plan = look(run, *kept, now=SETTLED)
        assert (written(plan), removed(plan), plan.look_again_s) == (set(), [], None)
        assert plan.status.phase is Phase.SUSPENDED
        assert said(plan, SUSPENDED) == ("True", "Suspended")
        sentence = (
            "spec.suspend is true, and the run has no pods. Set it to false, and the run goes on from the newest checkpoint, of "
            "step 100 or later."
        )
        assert notes(run, plan) == [("Normal", "Suspended", sentence)]
        suspended = then(run, plan)
        assert look(suspended, *kept, now=NOW + timedelta(hours=9)).status == suspended.status

    @pytest.mark.parametrize("child", [make_job(), make_deployment()], ids=["the Job", "the Deployment"])
    def test_what_may_still_make_pods_must_be_gone_first(self, child: ObservedChild) -> None:
        run = with_suspend(training_run(), True)
        plan = look(run, child)
        assert (removed(plan), said(plan, SUSPENDED)) == ([child.ref], ("False", "Suspending"))
        assert message(plan, SUSPENDED) == "spec.suspend is true, and the run is being ended."

    def test_the_run_is_held_though_its_claim_is_gone(self) -> None:
        """What cannot start anyway is not judged."""
        run = with_suspend(training_run(), True)
        run = then(run, look(run, *AT_WORK))
        plan = look(run, make_claim(f"{NAME}-volume", modes=("ReadWriteOncePod",)), now=SETTLED)
        assert (said(plan, FAILED), said(plan, SUSPENDED)) == (None, ("True", "Suspended"))

    def test_a_learner_that_was_quicker_has_succeeded(self) -> None:
        run = with_suspend(training_run(), True)
        run = then(run, look(run, *AT_WORK))
        job, pod = make_job(conditions=(job_condition("Complete"),)), make_pod(phase="Succeeded")
        plan = look(run, job, pod, make_deployment())
        assert (plan.status.phase, said(plan, SUCCEEDED)) == (Phase.SUCCEEDED, ("True", "Completed"))
        assert (said(plan, SUSPENDED), plan.status.suspended_at) == (None, None)
        assert [event.reason for event in events_of(run, plan.status)] == ["Completed"]

    def test_a_failure_that_came_before_is_one(self) -> None:
        run = with_suspend(training_run(), True)
        pod = failed_learner(text=failure_text(PodReason.GENERATORS_LOST, "No generator answers."))
        job = make_job(conditions=(job_condition("Failed"),))
        plan = look(run, job, pod, make_deployment())
        assert plan.status.last_failure is not None
        assert (plan.status.last_failure.reason, plan.status.learners.restarts) == ("GeneratorsLost", 1)
        run = then(run, plan)
        plan = look(run, job, pod, make_deployment())
        assert removed(plan) == [("Deployment", f"{NAME}-generator"), ("Job", f"{NAME}-learner-1")]
        assert (plan.status.phase, plan.status.attempt, plan.status.learners.restarts) == (Phase.SUSPENDING, 2, 1)

    @pytest.mark.parametrize("kind", [FAILED, SUCCEEDED])
    def test_a_run_that_has_ended_is_left_as_it_is(self, kind: ConditionType) -> None:
        run = with_suspend(with_conditions(training_run(), make_condition(kind, "True", "Completed")), True)
        run = then(run, look(run))
        assert said(run.status, SUSPENDED) is None
        assert look(run).status == run.status
        assert run.status.phase.value == kind.value

    def test_a_benchmark_gives_way_though_it_has_a_node(self) -> None:
        run = benchmarked_run(benchmarks=["math_500"])
        run = with_suspend(
            run.model_copy(update={"status": training_run(benchmarks=[entry("checkpoint-50", 50, "Running")]).status}),
            True,
        )
        job, pod = benchmark_job("checkpoint-50"), benchmark_pod("checkpoint-50", node="n1")
        plan = look_with_benchmarks(run, job, pod)
        assert removed(plan) == [job.ref]
        assert said(plan, SUSPENDED) == ("False", "Suspending")
        assert f"1 of its pods have not ended yet, {pod.name} among them" in message(plan, SUSPENDED)
        run = then(run, plan)
        assert said(look_with_benchmarks(run, job, now=SETTLED), SUSPENDED) == ("False", "Suspending")
        done = benchmark_job("checkpoint-50", conditions=(job_condition("Complete"),))
        plan = look_with_benchmarks(run, done, now=SETTLED)
        assert (removed(plan), said(plan, SUSPENDED)) == ([], ("True", "Suspended"))


class TestGoingOn:
    def test_it_is_on_record_before_anything_is_made(self) -> None:
        run = with_suspend(held_run(), False)
        plan = look(run, now=NOW + timedelta(seconds=50))
        assert (written(plan), removed(plan), plan.look_again_s) == (set(), [], 0)
        assert (plan.status.attempt, plan.status.learners.restarts, plan.status.suspensions) == (2, 0, 1)
        assert plan.status.suspended_at is None
        assert plan.status.phase is Phase.RESTARTING
        assert plan.status.last_failure is None
        assert said(plan, SUSPENDED) == ("False", "Resumed")
        assert said(plan, GENERATORS) == ("False", "Starting")
        assert said(plan, LEARNERS) == ("False", "Restarting")
        assert said(plan, WEIGHTS) == ("Unknown", "NotKnownYet")
        assert said(plan, PROGRESSING) == ("True", "Restarting")
        sentence = f"spec.suspend is false again, and the run goes on. {FROM}"
        assert message(plan, PROGRESSING) == sentence
        assert notes(run, plan) == [("Normal", "Resumed", sentence)]

    def test_the_next_look_makes_the_pods_of_another_attempt(self) -> None:
        run = with_suspend(held_run(), False)
        run = then(run, look(run))
        kept = [child for child in all_children(run) if child.kind not in ("Job", "Deployment")]
        plan = look(run, *kept)
        assert written(plan) == {f"Job/{NAME}-learner-2", f"Service/{NAME}-learner", f"Deployment/{NAME}-generator"}
        assert (plan.status.attempt, plan.status.suspensions, plan.status.learners.restarts) == (2, 1, 0)
        assert notes(run, plan) == []
        assert message(plan, PROGRESSING) == FROM

    def test_it_waits_for_learners_of_before(self) -> None:
        run = with_suspend(training_run(), True)
        run = with_suspend(then(run, look(run, *AT_WORK)), False)
        run = then(run, look(run, LEAVING, make_deployment(), GENERATOR))
        assert (run.status.attempt, said(run.status, SUSPENDED)) == (2, ("False", "Resumed"))
        plan = look(run, LEAVING, make_deployment(), GENERATOR, make_claim(f"{NAME}-volume"))
        assert f"Job/{NAME}-learner-2" not in written(plan)
        assert removed(plan) == []
        assert plan.look_again_s == 80, "its grace period and a minute"
        assert f"Job/{NAME}-learner-2" in written(look(run, make_deployment(), GENERATOR))

    def test_a_job_that_could_not_be_removed_makes_way(self) -> None:
        """The operator ended between the report and the deletion, and was away until the run was to go on."""
        run = with_suspend(training_run(), True)
        run = with_suspend(then(run, look(run, *AT_WORK)), False)
        run = then(run, look(run, *AT_WORK))
        plan = look(run, *AT_WORK)
        assert removed(plan) == [("Job", f"{NAME}-learner-1")]
        assert f"Job/{NAME}-learner-2" not in written(plan)

    def test_a_job_that_ended_before_it_was_removed_says_what_becomes_of_the_run(self) -> None:
        run = with_suspend(training_run(), True)
        run = with_suspend(then(run, look(run, *AT_WORK)), False)
        complete = make_job(conditions=(job_condition("Complete"),)), make_pod(phase="Succeeded")
        assert said(look(run, *complete), SUCCEEDED) == ("True", "Completed")
        failed = make_job(conditions=(job_condition("Failed"),)), failed_learner(exit_code=1)
        plan = look(run, *failed)
        assert (plan.status.attempt, plan.status.suspensions, plan.status.learners.restarts) == (2, 0, 1)
        assert (said(plan, SUSPENDED), plan.status.suspended_at) == (None, None)
        assert plan.status.phase is Phase.RESTARTING
        assert [event.reason for event in events_of(run, plan.status)] == ["LearnerError"]
        assert look(then(run, plan), *failed).status.suspensions == 0

    def test_a_learner_that_nobody_ends_is_named(self) -> None:
        run = with_suspend(held_run(), False)
        run = then(run, look(run, LEARNER))
        late = look(run, LEARNER, now=NOW + timedelta(seconds=60))
        assert said(late, PROGRESSING) == ("False", "LearnerLeftBehind")

    def test_a_learner_is_named_a_minute_after_the_last_suspension(self) -> None:
        """The one before, taken back early too, was long ago."""
        run = training_run()
        for begin in (0, 500):
            suspending, going_on = (NOW + timedelta(seconds=begin + seconds) for seconds in (0, 1))
            attempt = run.status.attempt
            job, pod = make_job(attempt), make_pod(attempt=attempt, ready=True)
            run = then(run, look(with_suspend(run, True), job, pod, now=suspending))
            run = then(run, look(with_suspend(run, False), pod, now=going_on))
        assert run.status.attempt == 3
        early, late = (NOW + timedelta(seconds=seconds) for seconds in (560, 561))
        assert said(look(run, pod, now=early), PROGRESSING) == ("True", "Restarting")
        assert said(look(run, pod, now=late), PROGRESSING) == ("False", "LearnerLeftBehind")

    def test_suspended_as_often_as_one_likes_it_has_all_its_restarts(self) -> None:
        run = training_run()
        run = run.model_copy(update={"spec": run.spec.model_copy(update={"max_restarts": 1})})
        for attempt in (2, 3, 4):
            run = with_suspend(run, True)
            run = then(run, look(run))
            run = with_suspend(run, False)
            run = then(run, look(run))
            assert (run.status.attempt, run.status.suspensions) == (attempt, attempt - 1)
        failed = make_job(4, conditions=(job_condition("Failed"),)), failed_learner(attempt=4)
        plan = look(run, *failed)
        assert (plan.status.phase, plan.status.attempt, plan.status.learners.restarts) == (Phase.RESTARTING, 5, 1)
        run = then(run, plan)
        assert f"Job/{NAME}-learner-5" in written(look(run)), "the first restart waits for nothing"
        failed = make_job(5, conditions=(job_condition("Failed"),)), failed_learner(attempt=5)
        plan = look(run, *failed)
        assert said(plan, FAILED) == ("True", "MaxRestartsExceeded")
        sentence = "Attempt 5 failed and maxRestarts is 1: "
        assert message(plan, FAILED).startswith(sentence)
        assert "Raise spec.maxRestarts to 2 or more, " in message(plan, FAILED)
        raised = then(run, plan)
        raised = raised.model_copy(update={"spec": raised.spec.model_copy(update={"max_restarts": 2})})
        assert look(raised, *failed).status.attempt == 6

    def test_an_old_failure_is_not_told_again(self) -> None:
        failure = LastFailure(attempt=1, time=ago(500), reason="OOMKilled", message="Too little memory.")
        run = with_suspend(held_run(attempt=2, last_failure=failure), False)
        plan = look(run)
        assert (plan.status.attempt, plan.status.learners.restarts, plan.status.last_failure) == (3, 1, failure)
        assert [event.reason for event in events_of(run, plan.status)] == ["Resumed"]


class TestCreatedSuspended:
    def test_nothing_of_it_is_made(self) -> None:
        run = make_run(suspend=True)
        plan = look(run)
        assert (written(plan), removed(plan), plan.look_again_s) == (set(), [], None)
        assert plan.status.phase is Phase.SUSPENDED
        assert (plan.status.started_at, plan.status.attempt) == (None, 1)
        assert said(plan, ACCEPTED) == ("True", "Accepted")
        assert said(plan, STORAGE) is None
        sentence = "spec.suspend is true, and the run has no pods. Set it to false, and the run starts."
        assert notes(run, plan) == [("Normal", "Suspended", sentence)]

    def test_its_recipe_is_judged_and_may_be_corrected(self) -> None:
        run = make_run(suspend=True)
        wrong = make_run(
            suspend=True, recipe=run.spec.recipe | {"use_vllm": True, "output_dir": "x", "vllm_mode": "colocate"}
        )
        plan = look(wrong)
        assert said(plan, ACCEPTED) == ("False", "OwnedKey")
        corrected = run.model_copy(update={"status": plan.status})
        assert said(look(corrected), ACCEPTED) == ("True", "Accepted")
        assert look(corrected).status.phase is Phase.SUSPENDED

    def test_it_is_held_no_more_though_its_recipe_is_wrong_by_then(self) -> None:
        run = then(make_run(suspend=True), look(make_run(suspend=True)))
        wrong = make_run(recipe=run.spec.recipe | {"vllm_mode": "colocate"})
        wrong = wrong.model_copy(update={"status": run.status})
        wrong = then(wrong, look(wrong))
        plan = look(wrong)
        assert said(plan, ACCEPTED) == ("False", "OwnedKey")
        assert (plan.status.phase, said(plan, SUSPENDED)) == (Phase.PENDING, ("False", "Resumed"))

    def test_it_starts_with_its_first_attempt(self) -> None:
        run = then(make_run(suspend=True), look(make_run(suspend=True)))
        run = with_suspend(run, False)
        plan = look(run, now=NOW + timedelta(seconds=50))
        assert (written(plan), plan.look_again_s, plan.status.started_at) == (set(), 0, None)
        assert (plan.status.attempt, plan.status.suspensions, plan.status.suspended_at) == (1, 0, None)
        assert plan.status.phase is Phase.STARTING
        assert notes(run, plan) == [("Normal", "Resumed", "spec.suspend is false, and the run starts.")]
        run = then(run, plan)
        plan = look(run, now=NOW + timedelta(seconds=50))
        assert written(plan) == EVERYTHING
        assert (plan.status.phase, plan.status.started_at) == (Phase.STARTING, ago(-50))
        assert said(plan, LEARNERS) == ("False", "Starting")

    def test_one_whose_objects_were_made_before_anything_was_said_of_it_has_started(self) -> None:
        """It was suspended between the two."""
        run = make_run(suspend=True)
        plan = look(run, *all_children(run))
        assert removed(plan) == [("Deployment", f"{NAME}-generator"), ("Job", f"{NAME}-learner-1")]
        assert (plan.status.started_at, plan.status.phase) == (ago(0), Phase.SUSPENDING)

    def test_one_that_takes_up_the_claim_of_an_earlier_run_has_not(self) -> None:
        run = make_run(suspend=True, storage={"size": "5Gi", "retain": True})
        claim = make_claim(f"{NAME}-volume", owner=None)
        plan = look(run, claim)
        assert (plan.status.started_at, plan.status.phase) == (None, Phase.SUSPENDED)
        run = with_suspend(then(run, plan), False)
        run = then(run, look(run, claim))
        assert (run.status.attempt, run.status.suspensions) == (1, 0)
        assert written(look(run, claim)) == EVERYTHING - {f"PersistentVolumeClaim/{NAME}-volume"}

    def test_it_is_accepted_when_its_objects_can_be_made(self) -> None:
        """Until then its recipe may be corrected."""
        run = then(make_run(suspend=True), look(make_run(suspend=True)))
        run = with_suspend(run, False)
        run = then(run, look(run))
        foreign = make_job(ownerReferences=[{"uid": "of another run", "controller": True}])
        plan = look(run, foreign)
        assert (written(plan), said(plan, ACCEPTED)) == (set(), ("False", "NameTaken"))
        assert (plan.status.started_at, plan.status.phase) == (None, Phase.PENDING)
        plan = look(then(run, plan))
        assert (said(plan, ACCEPTED), plan.status.started_at) == (("True", "Accepted"), ago(0))
