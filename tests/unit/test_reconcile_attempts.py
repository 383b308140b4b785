"""Looks at a run whose attempts fail, or that ends: what is reported, made again and removed."""

from datetime import timedelta

import pytest

from grpo_contract.failure import USER_ERROR_EXIT_CODE, PodReason
from grpo_contract.progress import CheckpointProgress, Progress, Stage, Steps
from grpo_operator.api.status import ConditionType, Phase
from grpo_operator.reconcile.world import Reading
from unit.desired_inputs import make_run
from unit.observed_inputs import (
    NAME,
    NOW,
    TRAINING,
    ago,
    all_children,
    container,
    ended,
    failed_learner,
    failure_text,
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
    written,
)

LEARNERS = ConditionType.LEARNERS_READY
PROGRESSING = ConditionType.PROGRESSING
SUCCEEDED = ConditionType.SUCCEEDED
FAILED = ConditionType.FAILED


OF_AN_ATTEMPT = {f"Service/{NAME}-learner", f"Deployment/{NAME}-generator"}
"""What says which one it is, beside its Job: of the Deployment only a note, which touches no pod."""


class TestFailure:
    @pytest.mark.parametrize(
        ("step", "checkpoint", "start"),
        [
            (0, None, "Attempt 2 starts from the beginning: the run has written no checkpoint yet."),
            (
                7,
                None,
                "Attempt 2 starts from the newest checkpoint, if learners have saved one at their end, or else from the "
                "beginning.",
            ),
            (
                7,
                CheckpointProgress(step=5, time=ago(60)),
                "Attempt 2 starts from the newest checkpoint, of step 5 or later.",
            ),
        ],
    )
    def test_where_the_next_attempt_starts_is_said(
        self, step: int, checkpoint: CheckpointProgress | None, start: str
    ) -> None:
        position = Steps(step=step, max_steps=20)
        run, report = make_run(), TRAINING.model_copy(update={"checkpoint": checkpoint, "progress": position})
        run = then(run, look(run, make_job(), make_pod(ready=True), reading=Reading(report)))
        plan = look(run, make_job(conditions=(job_condition("Failed"),)), failed_learner())
        assert message(plan, PROGRESSING).endswith(f"). {start}")
        later = look(then(run, plan), make_job(2), make_pod(attempt=2))
        assert said(later, PROGRESSING) == ("True", "Restarting")
        assert message(later, PROGRESSING) == start

    def test_a_run_that_began_elsewhere_begins_there_again(self) -> None:
        source = "/volume/runs/first-1a2b3c4d/checkpoints/checkpoint-100"
        recipe = make_run().spec.recipe | {"resume_from_checkpoint": source}
        plan = look(make_run(recipe=recipe), make_job(conditions=(job_condition("Failed"),)), failed_learner())
        start = f"Attempt 2 starts from {source}: the run has written no checkpoint yet."
        assert message(plan, PROGRESSING).endswith(start)

    def test_the_failure_is_on_record_before_anything_is_done_about_it(self) -> None:
        pod = failed_learner(text=failure_text(PodReason.GENERATORS_LOST, "No generator answers."))
        plan = look(make_run(), make_job(conditions=(job_condition("Failed"),)), pod, make_deployment())
        assert written(plan) == set()
        assert plan.delete == ()
        assert plan.look_again_s == 0
        assert plan.log_source is not None
        assert (plan.log_source.pod.name, plan.log_source.container) == (pod.name, "learner")
        assert (plan.status.attempt, plan.status.learners.restarts) == (2, 1)
        assert plan.status.phase is Phase.RESTARTING
        last = plan.status.last_failure
        assert last is not None
        assert (last.attempt, last.reason, last.message, last.exit_code) == (
            1,
            PodReason.GENERATORS_LOST,
            "No generator answers.",
            1,
        )

    def test_the_next_look_removes_the_old_attempt_and_starts_the_new_one(self) -> None:
        run, job = make_run(), make_job(conditions=(job_condition("Failed"),))
        pod = failed_learner()
        run = then(run, look(run, job, pod))
        others = [child for child in all_children(run) if child.kind != "Job"]
        plan = look(run, job, pod, *others)
        assert plan.delete == (job,)
        assert written(plan) == {f"Job/{NAME}-learner-2", *OF_AN_ATTEMPT}

    def test_the_new_attempt_waits_for_learners_of_the_old_one(self) -> None:
        run, job = make_run(), make_job(conditions=(job_condition("FailureTarget"),))
        failed, other = failed_learner(0), make_pod(index=1)
        run = then(run, look(run, job, failed, other))
        others = [child for child in all_children(run) if child.kind not in ("Job", "PersistentVolumeClaim")]
        plan = look(run, job, failed, other, make_claim(f"{NAME}-volume"), *others)
        assert written(plan) == OF_AN_ATTEMPT
        assert plan.look_again_s == 60

    def test_a_learner_on_a_lost_node_ends_the_attempt_and_the_next_one_starts_without_it(self) -> None:
        run, job, other = make_run(), make_job(), make_pod(index=1)
        leaving, stuck = (make_pod(node="n1", deletionTimestamp=ago(late_s)) for late_s in (45, 60))
        assert look(run, job, leaving, other).status.last_failure is None
        assert look(run, job, leaving, other).look_again_s == 10, "the interval of reports"
        assert look(run, job, leaving, other, now=NOW + timedelta(seconds=10)).look_again_s == 5
        plan = look(run, job, stuck, other)
        assert plan.status.last_failure is not None
        assert (plan.status.attempt, plan.status.last_failure.reason) == (2, "LearnerNodeLost")
        assert plan.status.phase is Phase.RESTARTING
        run = then(run, plan)
        others = [child for child in all_children(run) if child.kind != "Job"]
        clearing = look(run, job, stuck, other, *others)
        assert clearing.delete == (job,)
        assert written(clearing) == OF_AN_ATTEMPT, "the other learner may still write"
        assert f"Job/{NAME}-learner-2" in written(look(run, stuck, *others))
        assert said(look(run, make_job(2), stuck, make_pod(attempt=2, ready=True), *others), LEARNERS) == (
            "True",
            "AllReady",
        )

    def test_a_learner_that_was_left_behind_is_named(self) -> None:
        """Its Job was deleted with --cascade=orphan, so that nothing deletes the pod."""
        failed, left = failed_learner(0), make_pod(index=1)
        run = then(make_run(), look(make_run(), make_job(conditions=(job_condition("Failed"),)), failed, left))
        others = [child for child in all_children(run) if child.kind != "Job"]
        early = look(run, failed, left, *others, now=NOW + timedelta(seconds=59))
        assert said(early, PROGRESSING) == ("True", "Restarting")
        leaving = look(run, make_job(), failed, left, *others, now=NOW + timedelta(seconds=60))
        assert said(leaving, PROGRESSING) == ("True", "Restarting"), "its Job is there and takes it along"
        late = look(run, failed, left, *others, now=NOW + timedelta(seconds=60))
        assert said(late, PROGRESSING) == ("False", "LearnerLeftBehind")
        assert f"Pod {left.name} of attempt 1" in message(late, PROGRESSING)
        assert late.status.phase is Phase.RESTARTING
        assert written(late) == OF_AN_ATTEMPT
        over = look(then(run, late), failed, *others, now=NOW + timedelta(seconds=61))
        assert said(over, PROGRESSING) == ("True", "Restarting")
        assert f"Job/{NAME}-learner-2" in written(over)

    def test_jobs_are_ahead_of_a_status_that_could_not_be_stored(self) -> None:
        plan = look(make_run(), make_job(1, conditions=(job_condition("Failed"),)), make_job(2))
        assert plan.status.attempt == 2
        assert [child.name for child in plan.delete] == [f"{NAME}-learner-1"]

    def test_a_users_mistake_ends_the_run(self) -> None:
        text = failure_text(PodReason.DATASET_NOT_FOUND, "recipe.dataset_name: correct it.")
        pod = failed_learner(exit_code=USER_ERROR_EXIT_CODE, text=text)
        plan = look(make_run(), make_job(conditions=(job_condition("Failed"),)), pod)
        assert plan.status.phase is Phase.FAILED
        assert said(plan, FAILED) == ("True", PodReason.DATASET_NOT_FOUND)
        assert message(plan, FAILED) == (
            "recipe.dataset_name: correct it. To try again, delete this run and apply the corrected one."
        )
        assert plan.status.last_failure is not None
        assert plan.status.last_failure.message == "recipe.dataset_name: correct it."
        assert said(plan, LEARNERS) == ("False", "RunEnded")
        assert plan.status.attempt == 1
        assert plan.status.finished_at == "2026-06-01T12:00:00Z"

    @pytest.mark.parametrize(("attempt", "phase"), [(1, Phase.RESTARTING), (2, Phase.RESTARTING), (3, Phase.FAILED)])
    def test_restarts_end_at_the_limit(self, attempt: int, phase: Phase) -> None:
        job = make_job(attempt, conditions=(job_condition("Failed"),))
        plan = look(make_run(maxRestarts=2), job, failed_learner(attempt=attempt))
        assert plan.status.phase is phase
        if phase is Phase.FAILED:
            assert said(plan, FAILED) == ("True", "MaxRestartsExceeded")
            assert message(plan, FAILED).startswith("Attempt 3 failed and maxRestarts is 2: ")

    @pytest.mark.parametrize("max_restarts", [0, 3])
    def test_a_mistake_that_only_its_evaluation_meets_takes_nothing_from_a_saved_model(self, max_restarts: int) -> None:
        status = {"model": "/volume/runs/math/model", "progress": Steps(step=40, max_steps=40)}
        run = with_conditions(make_run(maxRestarts=max_restarts), **status)
        text = failure_text(PodReason.INVALID_RECIPE, "spec.recipe.num_generations_eval: correct it.")
        pod = failed_learner(exit_code=USER_ERROR_EXIT_CODE, text=text)
        plan = look(run, make_job(conditions=(job_condition("Failed"),)), pod)
        assert (plan.status.phase, said(plan, FAILED)) == (Phase.SUCCEEDED, None)
        assert message(plan, SUCCEEDED) == (
            "40 steps are done and the model is saved in /volume/runs/math/model on the volume. "
            "The last attempt ended early after that, its evaluation or its pushes may be missing: "
            "spec.recipe.num_generations_eval: correct it."
        )
        assert plan.status.last_failure is not None
        assert plan.status.last_failure.message == "spec.recipe.num_generations_eval: correct it."

    def test_a_run_whose_model_is_saved_has_done_its_work(self) -> None:
        status = {"model": "/volume/runs/math/model", "progress": Steps(step=40, max_steps=40)}
        run = with_conditions(make_run(maxRestarts=0), **status)
        plan = look(run, make_job(conditions=(job_condition("Failed"),)), failed_learner())
        assert plan.status.phase is Phase.SUCCEEDED
        assert message(plan, SUCCEEDED).startswith(
            "40 steps are done and the model is saved in /volume/runs/math/model on the volume. "
            "The last attempt ended early after that, its evaluation or its pushes may be missing: "
        )
        assert plan.status.last_failure is not None
        assert plan.status.last_failure.attempt == 1

    def test_a_failed_job_without_a_failed_pod_is_looked_at_again_first(self) -> None:
        plan = look(make_run(), make_job(conditions=(job_condition("Failed", since_s=1),)))
        assert plan.status.last_failure is None
        assert plan.look_again_s == 3

    def test_a_generator_that_cannot_work_ends_the_run(self) -> None:
        text = failure_text("ModelNotFound", "recipe.model_name_or_path: correct it.")
        last = ended(USER_ERROR_EXIT_CODE, text=text)
        crashed = container("generator", 2, last, waiting={"reason": "CrashLoopBackOff"})
        plan = look(make_run(), make_job(), make_pod("generator", phase="Running", containers=(crashed,)))
        assert said(plan, FAILED) == ("True", "ModelNotFound")

    @pytest.mark.parametrize("is_known", ["by this look", "by the status"])
    def test_a_generator_that_cannot_work_does_not_end_a_run_that_had_one(self, is_known: str) -> None:
        text = failure_text("InvalidRecipe", "spec.generators.env: correct it.")
        crashed = container(
            "generator", 1, ended(USER_ERROR_EXIT_CODE, text=text), waiting={"reason": "CrashLoopBackOff"}
        )
        run, job = make_run(generators={"replicas": 2}), make_job()
        good = make_pod("generator", 1, ready=True)
        rolled = make_pod("generator", containers=(crashed,))
        if is_known == "by the status":
            failed = make_job(conditions=(job_condition("Failed"),))
            run = then(run, look(run, job, good))
            run = then(run, look(run, failed, failed_learner()))
            assert (run.status.attempt, run.status.generators.first_ready_at) == (2, ago(0))
            plan = look(run, make_job(2), rolled, now=NOW + timedelta(seconds=5))
        else:
            plan = look(run, job, rolled, good)
        assert said(plan, FAILED) is None
        assert said(plan, ConditionType.GENERATORS_READY) == ("False", "GeneratorMisconfigured")
        assert "spec.generators.env: correct it" in message(plan, ConditionType.GENERATORS_READY)
        assert plan.status.generators.first_ready_at == ago(0)


class TestEnd:
    def test_success_takes_the_last_report(self) -> None:
        report = Progress(attempt=1, stage=Stage.FINISHED, progress=Steps(step=20, max_steps=20), model="/volume/m")
        pod = make_pod(phase="Succeeded", containers=(container(terminated=ended(0, "Completed", report.to_json())),))
        job, generator = make_job(conditions=(job_condition("Complete"),)), make_pod("generator", ready=True)
        plan = look(make_run(), job, pod, make_deployment(), generator)
        assert plan.status.phase is Phase.SUCCEEDED
        assert said(plan, SUCCEEDED) == ("True", "Completed")
        assert message(plan, SUCCEEDED) == "20 steps are done and the model is saved in /volume/m on the volume."
        assert (plan.status.model, plan.status.progress.step) == ("/volume/m", 20)
        assert (plan.status.learners.ready, plan.status.generators.ready) == (0, 0)
        assert plan.look_again_s == 0

    def test_an_early_end_is_a_success(self) -> None:
        why = "eval_reward did not rise above its best, 0.5, in 2 evaluations in a row"
        steps = Steps(step=20, max_steps=40, ended_early=why)
        report = Progress(attempt=1, stage=Stage.FINISHED, progress=steps, model="/volume/m")
        pod = make_pod(phase="Succeeded", containers=(container(terminated=ended(0, "Completed", report.to_json())),))
        plan = look(make_run(), make_job(conditions=(job_condition("Complete"),)), pod)
        assert said(plan, SUCCEEDED) == ("True", "Completed")
        assert message(plan, SUCCEEDED) == (
            f"Training ended early, at step 20 of 40 ({why}), and the model is saved in /volume/m on the volume."
        )
        assert plan.status.progress == steps

    def test_success_waits_a_moment_for_the_last_report(self) -> None:
        plan = look(make_run(), make_job(conditions=(job_condition("Complete", since_s=1),)), make_pod())
        assert said(plan, SUCCEEDED) is None
        assert plan.look_again_s == 3

    @pytest.mark.parametrize(("since_s", "is_over"), [(59, False), (60, True)])
    def test_success_waits_longer_for_a_report_whose_pod_is_there(self, since_s: int, is_over: bool) -> None:
        plan = look(make_run(), make_job(conditions=(job_condition("Complete", since_s=since_s),)), make_pod())
        assert said(plan, SUCCEEDED) == (("True", "Completed") if is_over else None)

    def test_success_does_not_wait_for_ever(self) -> None:
        plan = look(make_run(), make_job(conditions=(job_condition("Complete", since_s=3),)))
        assert said(plan, SUCCEEDED) == ("True", "Completed")

    def test_an_ended_run_keeps_its_job_and_loses_its_generators(self) -> None:
        job, pod = make_job(conditions=(job_condition("Complete"),)), make_pod(phase="Succeeded")
        run = then(make_run(), look(make_run(), job, pod))
        plan = look(run, job, pod, make_deployment())
        assert [child.kind for child in plan.delete] == ["Deployment"]
        assert written(plan) == set()
        assert plan.status == run.status
        assert plan.look_again_s is None

    def test_a_failed_run_stops_learners_that_still_work(self) -> None:
        text = failure_text("ModelNotFound", "Correct it.")
        crashed = container("generator", terminated=ended(USER_ERROR_EXIT_CODE, text=text))
        generator = make_pod("generator", containers=(crashed,))
        run = then(make_run(), look(make_run(), make_job(), generator))
        plan = look(run, make_job(), make_pod(), make_deployment())
        assert {child.kind for child in plan.delete} == {"Deployment", "Job"}

    def test_what_is_being_deleted_is_not_deleted_again(self) -> None:
        job = make_job(conditions=(job_condition("Complete"),))
        run = then(make_run(), look(make_run(), job, make_pod(phase="Succeeded")))
        leaving = make_job(conditions=(job_condition("Failed"),), deletionTimestamp=ago(1))
        assert look(run, leaving).delete == ()
