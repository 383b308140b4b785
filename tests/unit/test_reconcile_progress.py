"""Looks at a run that goes on: what is said of its progress."""

from datetime import timedelta

import pytest

from grpo_contract.progress import (
    BestEvaluation,
    EvaluationProgress,
    GeneratorProgress,
    Metrics,
    Progress,
    Stage,
    Steps,
)
from grpo_operator.api.status import ConditionType, Phase
from grpo_operator.reconcile.world import Reading
from unit.desired_inputs import make_run
from unit.observed_inputs import (
    NOW,
    TRAINING,
    ago,
    container,
    ended,
    failed_learner,
    job_condition,
    look,
    make_deployment,
    make_job,
    make_pod,
    message,
    said,
    then,
)

LEARNERS = ConditionType.LEARNERS_READY
GENERATORS = ConditionType.GENERATORS_READY
WEIGHTS = ConditionType.WEIGHTS_IN_SYNC
PROGRESSING = ConditionType.PROGRESSING


class TestProgress:
    def test_a_report_comes_into_the_status(self) -> None:
        plan = look(make_run(), make_job(), make_pod(ready=True), reading=Reading(TRAINING))
        assert plan.status.phase is Phase.RUNNING
        assert said(plan, PROGRESSING) == ("True", "Training")
        assert said(plan, WEIGHTS) == ("False", "OutOfSync")
        assert (plan.status.progress.step, plan.status.metrics.reward) == (7, 0.5)
        assert (plan.status.generators.in_sync, plan.status.generators.weight_version) == (1, "7")

    def test_what_is_pushed_is_said(self) -> None:
        run, job, pod = make_run(), make_job(), make_pod(ready=True)
        pushed = TRAINING.model_copy(update={"pushed": "https://hub/me/model/commit/1"})
        run = then(run, look(run, job, pod, reading=Reading(pushed)))
        assert run.status.pushed == "https://hub/me/model/commit/1"
        saved = TRAINING.model_copy(update={"stage": Stage.SAVING, "model": "/volume/model"})
        plan = look(run, job, pod, reading=Reading(saved))
        assert said(plan, PROGRESSING) == ("True", "Saving")
        assert message(plan, PROGRESSING) == "The model is saved, and is being pushed to the hub."
        assert (plan.status.model, plan.status.pushed) == ("/volume/model", "https://hub/me/model/commit/1")

    def test_an_evaluation_is_said_and_stays(self) -> None:
        run, job, pod = make_run(), make_job(), make_pod(ready=True)
        evaluation = EvaluationProgress(
            step=7,
            time="2026-06-01T12:00:00Z",
            reward=0.6123456,
            rewards={"accuracy": 1 / 3},
            best=BestEvaluation(step=5, metric="eval_reward", value=2 / 3),
        )
        report = TRAINING.model_copy(update={"stage": Stage.EVALUATING, "evaluation": evaluation})
        plan = look(run, job, pod, reading=Reading(report))
        assert plan.status.phase is Phase.RUNNING
        assert said(plan, PROGRESSING) == ("True", "Evaluating")
        assert message(plan, PROGRESSING) == "Training is over and the model is saved; it is being evaluated."
        best = BestEvaluation(step=5, metric="eval_reward", value=0.6667)
        rounded = evaluation.model_copy(update={"reward": 0.6123, "rewards": {"accuracy": 0.3333}, "best": best})
        assert plan.status.evaluation == rounded
        assert look(then(run, plan), job, pod, reading=Reading(TRAINING)).status.evaluation == rounded

    def test_a_report_of_another_attempt_says_nothing(self) -> None:
        plan = look(make_run(), make_job(2), make_pod(attempt=2, ready=True), reading=Reading(TRAINING))
        assert said(plan, PROGRESSING) == ("True", "Restarting")
        assert plan.status.progress.step == 0

    def test_metrics_are_rounded(self) -> None:
        metrics = Metrics(
            reward=0.6123456, kl=0.00001234567, loss=-0.25, completion_length=512.44, rewards={"accuracy": 1 / 3}
        )
        report = TRAINING.model_copy(update={"metrics": metrics})
        plan = look(make_run(), make_job(), make_pod(ready=True), reading=Reading(report))
        assert plan.status.metrics == Metrics(
            reward=0.6123, kl=0.00001235, loss=-0.25, completion_length=512.4, rewards={"accuracy": 0.3333}
        )

    @pytest.mark.parametrize(
        ("told", "stored"),
        [
            (
                {"seconds_per_step": 3.14159265, "eta_seconds": 119.5001},
                {"seconds_per_step": 3.142, "eta_seconds": 120},
            ),
            (
                {"seconds_per_step": 1234.567, "eta_seconds": 98765.4321},
                {"seconds_per_step": 1235, "eta_seconds": 98765},
            ),
            ({"tokens_per_second": 812.4567, "epoch": 0.1234567}, {"tokens_per_second": 812.5, "epoch": 0.1235}),
            (
                {"generator_seconds": 1.234567, "learning_seconds": 2 / 3},
                {"generator_seconds": 1.235, "learning_seconds": 0.6667},
            ),
            ({"seconds_per_step": 0.25, "eta_seconds": 0.0}, {"seconds_per_step": 0.25, "eta_seconds": 0}),
            ({"epoch": None, "seconds_per_step": 2.0}, {"epoch": None, "seconds_per_step": 2}),
        ],
    )
    def test_the_position_is_rounded(self, told: dict[str, float | None], stored: dict[str, float | None]) -> None:
        steps = Steps(step=12345, max_steps=20000)
        report = TRAINING.model_copy(update={"progress": steps.model_copy(update=told)})
        plan = look(make_run(), make_job(), make_pod(ready=True), reading=Reading(report))
        assert plan.status.progress == steps.model_copy(update=stored)

    def test_a_first_attempt_that_loads_says_so(self) -> None:
        plan = look(
            make_run(), make_job(), make_pod(ready=True), reading=Reading(Progress(attempt=1, stage=Stage.LOADING))
        )
        assert said(plan, PROGRESSING) == ("True", "Loading")
        assert plan.status.phase is Phase.STARTING

    @pytest.mark.parametrize("stage", [Stage.LOADING, Stage.WAITING_FOR_GENERATORS])
    def test_a_new_attempt_does_not_wipe_what_the_last_one_reached(self, stage: Stage) -> None:
        run, job, pod = make_run(), make_job(2), make_pod(attempt=2, ready=True)
        run = then(run, look(run, make_job(), make_pod(ready=True), reading=Reading(TRAINING)))
        run = then(run, look(run, make_job(conditions=(job_condition("Failed"),)), failed_learner()))
        run = then(run, look(run, job, pod, reading=Reading(Progress(attempt=2, stage=stage))))
        assert (run.status.progress.step, run.status.metrics.reward) == (7, 0.5)
        assert (run.status.generators.in_sync, run.status.generators.weight_version) == (0, None)
        resumed = Progress(attempt=2, stage=Stage.TRAINING, progress=Steps(step=4, max_steps=20))
        run = then(run, look(run, job, pod, reading=Reading(resumed)))
        assert (run.status.progress.step, run.status.metrics.reward) == (4, 0.5)
        logged = resumed.model_copy(update={"metrics": Metrics(reward=0.25)})
        plan = look(run, job, pod, reading=Reading(logged))
        assert plan.status.metrics == Metrics(reward=0.25)

    @pytest.mark.parametrize("attempt", [1, 2])
    def test_a_run_that_has_lost_all_generators_is_running(self, attempt: int) -> None:
        steps = Steps(step=7, max_steps=20, seconds_per_step=2.0)
        lost = TRAINING.model_copy(
            update={"attempt": attempt, "stage": Stage.WAITING_FOR_GENERATORS, "progress": steps, "generators": []}
        )
        learner, crashed = (
            make_pod(attempt=attempt, ready=True),
            container("generator", waiting={"reason": "CrashLoopBackOff"}),
        )
        for generators in ([], [make_pod("generator", containers=(crashed,))]):
            plan = look(make_run(), make_job(attempt), learner, make_deployment(), *generators, reading=Reading(lost))
            assert plan.status.phase is Phase.RUNNING
            assert said(plan, PROGRESSING) == ("False", "WaitingForGenerators")
            assert said(plan, GENERATORS) == ("False", "CrashLoop" if generators else "Starting")

    def test_a_run_that_waits_for_its_first_generator_is_starting(self) -> None:
        waiting = Progress(attempt=1, stage=Stage.WAITING_FOR_GENERATORS, progress=Steps(max_steps=20))
        plan = look(make_run(), make_job(), make_pod(ready=True), reading=Reading(waiting))
        assert plan.status.phase is Phase.STARTING
        assert said(plan, PROGRESSING) == ("True", "WaitingForGenerators")

    def test_a_later_attempt_says_that_it_waits_for_generators(self) -> None:
        waiting = Progress(attempt=2, stage=Stage.WAITING_FOR_GENERATORS, progress=Steps(step=7, max_steps=20))
        plan = look(make_run(), make_job(2), make_pod(attempt=2, ready=True), reading=Reading(waiting))
        assert said(plan, PROGRESSING) == ("True", "WaitingForGenerators")
        assert message(plan, PROGRESSING) == "Learners wait for a generator that answers."

    def test_without_news_the_last_report_holds(self) -> None:
        run = make_run()
        run = then(run, look(run, make_job(), make_pod(ready=True), reading=Reading(TRAINING)))
        finished = make_pod(phase="Succeeded", containers=(container(terminated=ended(0)),))
        plan = look(run, make_job(), finished)
        assert plan.status.phase is Phase.RUNNING
        assert plan.status.progress.step == 7

    def test_learners_that_have_ended_before_their_phase_says_so(self) -> None:
        """The kubelet tells of a container's end first: the run must not seem to start anew."""
        run = make_run()
        run = then(run, look(run, make_job(), make_pod(ready=True), reading=Reading(TRAINING)))
        plan = look(run, make_job(), make_pod(containers=(container(terminated=ended(0)),)))
        assert plan.status.phase is Phase.RUNNING
        assert said(plan, LEARNERS) == ("True", "AllReady")
        assert said(plan, WEIGHTS) == said(run.status, WEIGHTS) == ("False", "OutOfSync")
        failing = look(run, make_job(), make_pod(containers=(container(terminated=ended(1)),)))
        assert failing.status.phase is Phase.RUNNING
        assert said(failing, LEARNERS) == ("False", "Starting")

    @pytest.mark.parametrize("attempt", [1, 2])
    def test_a_learner_that_is_gone_before_its_job_fails(self, attempt: int) -> None:
        training = Reading(TRAINING.model_copy(update={"attempt": attempt}))
        first, second = (make_pod(index=index, attempt=attempt, ready=True) for index in (0, 1))
        job = make_job(attempt, counts={"active": 2})
        run = make_run(learners={"replicas": 2})
        run = then(run, look(run, job, first, second, reading=training))
        plan = look(run, job, second)
        assert (plan.status.phase, said(plan, PROGRESSING)) == (Phase.RUNNING, ("True", "Training"))
        assert said(plan, LEARNERS) == ("False", "Starting")

    def test_a_job_that_is_made_again_starts(self) -> None:
        run = make_run()
        run = then(run, look(run, make_job(), make_pod(ready=True), reading=Reading(TRAINING)))
        assert said(look(run, make_job(age_s=1)), PROGRESSING) == ("True", "Starting")

    def test_a_generator_that_has_left_need_not_hold_weights(self) -> None:
        left = GeneratorProgress(name="c", in_sync=False, completions=9, has_left=True)
        there = GeneratorProgress(name="a", in_sync=True, completions=4)
        report = TRAINING.model_copy(update={"generators": [there, left]})
        plan = look(make_run(), make_job(), make_pod(ready=True), reading=Reading(report))
        assert said(plan, WEIGHTS) == ("True", "InSync")
        assert message(plan, WEIGHTS) == "1 of 1 generators hold the learner's current weights."
        plan = look(make_run(generators={"maxStaleness": 1}), make_job(), make_pod(ready=True), reading=Reading(report))
        assert message(plan, WEIGHTS) == (
            "1 of 1 generators hold the learner's weights, current or as old as spec.generators.maxStaleness allows."
        )

    def test_the_first_step_of_an_attempt(self) -> None:
        steps = {None: "The first step of attempt 1 is being made.", 2.0: "Steps are being made."}
        for pace, expected in steps.items():
            report = TRAINING.model_copy(update={"progress": Steps(step=7, max_steps=20, seconds_per_step=pace)})
            plan = look(make_run(), make_job(), make_pod(ready=True), reading=Reading(report))
            assert said(plan, PROGRESSING) == ("True", "Training")
            assert message(plan, PROGRESSING) == expected

    @pytest.mark.parametrize(
        ("failing_s", "expected"), [(59, ("True", "Starting")), (60, ("Unknown", "ProgressUnreadable"))]
    )
    def test_a_learner_that_does_not_answer(self, failing_s: float, expected: tuple[str, str]) -> None:
        reading = Reading(error="no answer", failing_since=NOW - timedelta(seconds=failing_s))
        plan = look(make_run(), make_job(), make_pod(ready=True), reading=reading)
        assert said(plan, PROGRESSING) == expected

    def test_a_learner_that_is_being_deleted_owes_no_answer(self) -> None:
        reading = Reading(error="no answer", failing_since=NOW - timedelta(seconds=60))
        plan = look(make_run(), make_job(), make_pod(deletionTimestamp=ago(0)), reading=reading)
        assert said(plan, PROGRESSING) == ("True", "Starting")

    def test_what_was_said_of_trouble_does_not_outlive_it(self) -> None:
        pending = make_pod(phase="Pending", status=unschedulable(20))
        run = then(make_run(), look(make_run(), make_job(), pending))
        assert said(run.status, PROGRESSING) == ("False", "Unschedulable")
        plan = look(run, make_job(), make_pod(ready=True))
        assert said(plan, PROGRESSING) == ("True", "Starting")


def unschedulable(since_s: float) -> dict[str, object]:
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/2 nodes are available.",
        "lastTransitionTime": ago(since_s),
    }
    return {"conditions": [condition], "podIP": None}
