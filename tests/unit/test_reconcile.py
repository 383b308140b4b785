"""One look at a run after the other: what is written, reported and removed, and when to look again."""

from dataclasses import replace
from datetime import timedelta

import pytest

from grpo_contract.failure import DATASET_NOT_FOUND, GENERATORS_LOST, USER_ERROR_EXIT_CODE
from grpo_contract.labels import Role
from grpo_contract.progress import CheckpointProgress, GeneratorProgress, Metrics, Progress, Stage, Steps
from grpo_operator.api.status import ConditionType, Phase, RecipeNote
from grpo_operator.reconcile.events import events_of
from grpo_operator.reconcile.world import Reading, Refusal
from unit.desired_inputs import UID, make_run
from unit.observed_inputs import (
    NAME,
    NOW,
    SETTINGS,
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
    written,
)

ACCEPTED, STORAGE = ConditionType.ACCEPTED, ConditionType.STORAGE_READY
LEARNERS, GENERATORS = ConditionType.LEARNERS_READY, ConditionType.GENERATORS_READY
WEIGHTS, PROGRESSING = ConditionType.WEIGHTS_IN_SYNC, ConditionType.PROGRESSING
SUCCEEDED, FAILED = ConditionType.SUCCEEDED, ConditionType.FAILED

EVERYTHING = {
    f"ConfigMap/{NAME}-config",
    f"Secret/{NAME}-token",
    f"PersistentVolumeClaim/{NAME}-volume",
    f"Service/{NAME}-learner",
    f"Service/{NAME}-generator",
    f"NetworkPolicy/{NAME}-learner",
    f"NetworkPolicy/{NAME}-generator",
    f"Deployment/{NAME}-generator",
    f"Job/{NAME}-learner-1",
}
TRAINING = Progress(
    attempt=1,
    stage=Stage.TRAINING,
    progress=Steps(step=7, max_steps=20),
    metrics=Metrics(reward=0.5),
    weight_version="7",
    generators=[
        GeneratorProgress(name="a", in_sync=True, completions=4),
        GeneratorProgress(name="b", in_sync=False, completions=4),
    ],
)


class TestStart:
    def test_a_first_look_writes_everything(self) -> None:
        plan = look(make_run())
        assert written(plan) == EVERYTHING
        assert plan.delete == ()
        assert plan.status.phase is Phase.STARTING
        assert said(plan, ACCEPTED) == ("True", "Accepted")
        assert said(plan, STORAGE) == ("Unknown", "ClaimPending")
        assert said(plan, LEARNERS) == ("False", "Starting")
        assert said(plan, GENERATORS) == ("False", "Starting")
        assert said(plan, WEIGHTS) == ("Unknown", "NotKnownYet")
        assert said(plan, PROGRESSING) == ("True", "Starting")
        assert said(plan, SUCCEEDED) is None
        assert said(plan, FAILED) is None
        assert plan.status.started_at == "2026-06-01T12:00:00Z"
        assert plan.status.output == "/volume/runs/math-11111111"
        assert plan.status.generators.selector == f"grpo.dev/role=generator,grpo.dev/run={NAME}"

    def test_a_second_look_changes_nothing(self) -> None:
        run = then(make_run(), look(make_run()))
        plan = look(run, *all_children(run), now=NOW + timedelta(seconds=1))
        assert written(plan) == set()
        assert plan.status == run.status

    def test_an_owned_key_starts_nothing(self) -> None:
        run = make_run(
            recipe={"model_name_or_path": "m", "dataset_name": "d", "reward_funcs": ["x"], "deepspeed": "z.json"}
        )
        plan = look(run)
        assert written(plan) == set()
        assert said(plan, ACCEPTED) == ("False", "OwnedKey")
        assert "deepspeed" in message(plan, ACCEPTED)
        assert plan.status.phase is Phase.PENDING
        assert [entry.type for entry in plan.status.conditions] == [ACCEPTED]
        assert plan.status.started_at is None

    def test_a_run_whose_owned_key_was_taken_out_starts(self) -> None:
        good = make_run()
        bad = make_run(recipe=good.spec.recipe | {"deepspeed": "z.json"})
        plan = look(then(good, look(bad)))
        assert written(plan) == EVERYTHING
        assert said(plan, ACCEPTED) == ("True", "Accepted")
        assert plan.status.started_at == "2026-06-01T12:00:00Z"

    def test_a_run_that_has_started_is_not_judged_anew(self) -> None:
        """A newer operator may own a key that an older one let through: the pods are there and go on."""
        good = make_run()
        bad = make_run(recipe=good.spec.recipe | {"deepspeed": "z.json"})
        plan = look(then(bad, look(good)), *all_children(good))
        assert said(plan, ACCEPTED) == ("True", "Accepted")

    def test_what_was_done_to_an_old_recipe_is_said(self) -> None:
        run = make_run(recipe=make_run().spec.recipe | {"torch_dtype": "bfloat16"})
        plan = look(run)
        assert plan.status.recipe.notes[0] == RecipeNote(key="torch_dtype", action="Is dtype today.")
        moved = {note.key: note.action for note in plan.status.recipe.notes[1:]}
        assert moved["beta"] == (
            "Left out: 0.0 today; 0.04 in TRL 0.14, 0.16 and 0.18. spec.recipeDefaults brings it back."
        )
        assert "torch_dtype" not in moved

    def test_of_a_recipe_of_today_there_is_nothing_to_say(self) -> None:
        assert look(make_run()).status.recipe.notes == []

    def test_an_owned_key_under_its_old_name_starts_nothing(self) -> None:
        plan = look(make_run(recipe=make_run().spec.recipe | {"evaluation_strategy": "steps"}))
        assert written(plan) == set()
        assert message(plan, ACCEPTED).startswith('spec.recipe.eval_strategy is "steps"')
        assert plan.status.recipe.notes[0] == RecipeNote(key="evaluation_strategy", action="Is eval_strategy today.")

    def test_everything_ready_is_said(self) -> None:
        run = make_run()
        children = [
            *(child for child in all_children(run) if child.kind not in ("Deployment", "PersistentVolumeClaim")),
            make_claim(f"{NAME}-volume"),
            make_deployment(ready=1),
            make_pod(ready=True),
        ]
        plan = look(run, *children)
        assert said(plan, STORAGE) == ("True", "Bound")
        assert said(plan, GENERATORS) == ("True", "AllReady")
        assert said(plan, LEARNERS) == ("True", "AllReady")
        assert (plan.status.learners.ready, plan.status.generators.ready) == (1, 1)
        assert plan.look_again_s == SETTINGS.progress_interval_s

    def test_children_of_a_deleted_run_of_the_same_name_are_waited_for(self) -> None:
        run = make_run()
        plan = look(run, replace(make_deployment(), owner_uid="another"))
        assert written(plan) == set()
        assert said(plan, ACCEPTED) == ("False", "NameTaken")
        assert f"Deployment {NAME}-generator" in message(plan, ACCEPTED)
        assert plan.look_again_s == 60

    @pytest.mark.parametrize(("run_uid", "ready"), [(UID, 1), ("another", 0)])
    def test_pods_of_a_deleted_run_of_the_same_name_are_not_its_own(self, run_uid: str, ready: int) -> None:
        plan = look(make_run(), make_pod(ready=True, run_uid=run_uid))
        assert plan.status.learners.ready == ready

    def test_a_refusal_before_the_start_is_no_acceptance(self) -> None:
        plan = look(make_run(), refusals=(Refusal("ChildRefused", "The quota says no."),))
        assert said(plan, ACCEPTED) == ("False", "ChildRefused")
        assert plan.status.phase is Phase.PENDING
        assert plan.status.started_at is None
        assert plan.look_again_s == 60

    def test_a_refusal_that_lasts_is_said_once(self) -> None:
        """Accepted is stated twice in one look; its time of transition must not move for that."""
        run, refusals = make_run(), (Refusal("ChildRefused", "The quota says no."),)
        run = then(run, look(run, refusals=refusals))
        assert look(run, refusals=refusals, now=NOW + timedelta(minutes=1)).status == run.status

    def test_what_a_refusal_left_holds_the_recipe(self) -> None:
        run, refusals = make_run(), (Refusal("ChildRefused", "The quota says no."),)
        others = [child for child in all_children(run) if child.kind != "Deployment"]
        plan = look(then(run, look(run, refusals=refusals)), *others, refusals=refusals)
        assert said(plan, ACCEPTED) == ("False", "ChildRefused")
        assert plan.status.started_at == "2026-06-01T12:00:00Z"

    def test_how_pods_run_can_change(self) -> None:
        """The Deployment rolls; a Job cannot change, so the learners of the next attempt have it."""
        run, job = make_run(), make_job(conditions=(job_condition("Failed"),))
        wish = {"resources": {"limits": {"memory": "8Gi"}}}
        changed = make_run(learners=wish, generators=wish)
        assert written(look(then(changed, look(run)), *all_children(run))) == {f"Deployment/{NAME}-generator"}
        pod = failed_learner(exit_code=137, reason="OOMKilled")
        after = then(changed, look(run, job, pod))
        (written_job,) = [child.manifest for child in look(after, pod).write if child.manifest["kind"] == "Job"]
        (container,) = written_job["spec"]["template"]["spec"]["containers"]
        assert container["resources"]["limits"]["memory"] == "8Gi"

    @pytest.mark.parametrize(
        ("role", "kind", "other"),
        [(Role.GENERATOR, GENERATORS, LEARNERS), (Role.LEARNER, LEARNERS, GENERATORS), (None, LEARNERS, GENERATORS)],
    )
    @pytest.mark.parametrize("reason", ["ChildRefused", "NameTaken"])
    def test_a_refusal_later_is_said_of_its_role(
        self, role: Role | None, kind: ConditionType, other: ConditionType, reason: str
    ) -> None:
        run = then(make_run(), look(make_run()))
        plan = look(run, refusals=(Refusal(reason, "The quota says no.", role),))
        assert said(plan, ACCEPTED) == ("True", "Accepted")
        assert said(plan, kind) == ("False", reason)
        assert message(plan, kind) == "The quota says no."
        assert said(plan, other) == ("False", "Starting")
        assert said(plan, PROGRESSING) == ("False", reason), "no learner says that steps are made"
        assert plan.look_again_s == 60
        assert [(event.type, event.reason) for event in events_of(run, plan.status)] == [("Warning", reason)]

    def test_each_role_has_its_own_refusal(self) -> None:
        run = then(make_run(), look(make_run()))
        refusals = (Refusal("ChildRefused", "First.", Role.LEARNER), Refusal("NameTaken", "Second.", Role.GENERATOR))
        plan = look(run, refusals=refusals)
        assert (message(plan, LEARNERS), message(plan, GENERATORS)) == ("First.", "Second.")

    def test_a_refusal_does_not_hide_that_steps_are_made(self) -> None:
        run = then(make_run(), look(make_run()))
        children = (make_job(), make_pod(ready=True), make_deployment(ready=1))
        refusals = (Refusal("ChildRefused", "No such toleration.", Role.GENERATOR),)
        plan = look(run, *children, reading=Reading(TRAINING), refusals=refusals)
        assert plan.status.phase is Phase.RUNNING
        assert said(plan, PROGRESSING) == ("True", "Training")
        assert said(plan, LEARNERS) == ("True", "AllReady")
        assert said(plan, GENERATORS) == ("False", "ChildRefused")
        assert plan.look_again_s == SETTINGS.progress_interval_s
        told = [event.reason for event in events_of(run, plan.status) if event.type == "Warning"]
        assert told == ["ChildRefused"]

    def test_a_name_that_was_taken_later_is_said_of_its_role(self) -> None:
        run = then(make_run(), look(make_run()))
        plan = look(run, replace(make_deployment(), owner_uid="another"))
        assert said(plan, ACCEPTED) == ("True", "Accepted")
        assert said(plan, GENERATORS) == ("False", "NameTaken")


class TestProgress:
    def test_a_report_comes_into_the_status(self) -> None:
        plan = look(make_run(), make_job(), make_pod(ready=True), reading=Reading(TRAINING))
        assert plan.status.phase is Phase.RUNNING
        assert said(plan, PROGRESSING) == ("True", "Training")
        assert said(plan, WEIGHTS) == ("False", "OutOfSync")
        assert (plan.status.progress.step, plan.status.metrics.reward) == (7, 0.5)
        assert (plan.status.generators.in_sync, plan.status.generators.weight_version) == (1, "7")

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
            ({"seconds_per_step": 0.25, "eta_seconds": 0.0}, {"seconds_per_step": 0.25, "eta_seconds": 0}),
            ({"epoch": None, "seconds_per_step": 2.0}, {"epoch": None, "seconds_per_step": 2}),
        ],
    )
    def test_the_position_is_rounded(self, told: dict[str, float | None], stored: dict[str, float | None]) -> None:
        steps = Steps(step=12345, max_steps=20000)
        report = TRAINING.model_copy(update={"progress": steps.model_copy(update=told)})
        plan = look(make_run(), make_job(), make_pod(ready=True), reading=Reading(report))
        assert plan.status.progress == steps.model_copy(update=stored)

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

    def test_the_first_step_of_an_attempt(self) -> None:
        steps = {None: "The first step of this attempt is being made.", 2.0: "Steps are being made."}
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


class TestFailure:
    @pytest.mark.parametrize(
        ("checkpoint", "start"),
        [
            (None, "Attempt 2 starts from the beginning: the run has written no checkpoint yet."),
            (CheckpointProgress(step=5, time=ago(60)), "Attempt 2 starts from the newest checkpoint."),
        ],
    )
    def test_where_the_next_attempt_starts_is_said(self, checkpoint: CheckpointProgress | None, start: str) -> None:
        run, report = make_run(), TRAINING.model_copy(update={"checkpoint": checkpoint})
        run = then(run, look(run, make_job(), make_pod(ready=True), reading=Reading(report)))
        plan = look(run, make_job(conditions=(job_condition("Failed"),)), failed_learner())
        assert message(plan, PROGRESSING).endswith(f"). {start}")
        later = look(then(run, plan), make_job(2), make_pod(attempt=2))
        assert said(later, PROGRESSING) == ("True", "Restarting")
        assert message(later, PROGRESSING) == start

    def test_the_failure_is_on_record_before_anything_is_done_about_it(self) -> None:
        pod = failed_learner(text=failure_text(GENERATORS_LOST, "No generator answers."))
        plan = look(make_run(), make_job(conditions=(job_condition("Failed"),)), pod, make_deployment(ready=1))
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
            GENERATORS_LOST,
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
        assert written(plan) == {f"Job/{NAME}-learner-2", f"Service/{NAME}-learner"}

    def test_the_new_attempt_waits_for_learners_of_the_old_one(self) -> None:
        run, job = make_run(), make_job(conditions=(job_condition("FailureTarget"),))
        failed, other = failed_learner(0), make_pod(index=1)
        run = then(run, look(run, job, failed, other))
        others = [child for child in all_children(run) if child.kind != "Job"]
        plan = look(run, job, failed, other, *others)
        assert written(plan) == {f"Service/{NAME}-learner"}
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
        assert written(clearing) == {f"Service/{NAME}-learner"}, "the other learner may still write"
        assert f"Job/{NAME}-learner-2" in written(look(run, stuck, *others))
        assert said(look(run, make_job(2), stuck, make_pod(attempt=2, ready=True), *others), LEARNERS) == (
            "True",
            "AllReady",
        )

    def test_a_learner_on_a_lost_node_may_be_the_last_try(self) -> None:
        plan = look(make_run(maxRestarts=0), make_job(), make_pod(node="n1", deletionTimestamp=ago(60)))
        assert said(plan, FAILED) == ("True", "MaxRestartsExceeded")

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
        assert written(late) == {f"Service/{NAME}-learner"}
        over = look(then(run, late), failed, *others, now=NOW + timedelta(seconds=61))
        assert said(over, PROGRESSING) == ("True", "Restarting")
        assert f"Job/{NAME}-learner-2" in written(over)

    def test_jobs_are_ahead_of_a_status_that_could_not_be_stored(self) -> None:
        plan = look(make_run(), make_job(1, conditions=(job_condition("Failed"),)), make_job(2))
        assert plan.status.attempt == 2
        assert [child.name for child in plan.delete] == [f"{NAME}-learner-1"]

    def test_a_users_mistake_ends_the_run(self) -> None:
        text = failure_text(DATASET_NOT_FOUND, "recipe.dataset_name: correct it.")
        pod = failed_learner(exit_code=USER_ERROR_EXIT_CODE, text=text)
        plan = look(make_run(), make_job(conditions=(job_condition("Failed"),)), pod)
        assert plan.status.phase is Phase.FAILED
        assert said(plan, FAILED) == ("True", DATASET_NOT_FOUND)
        assert message(plan, FAILED) == "recipe.dataset_name: correct it."
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
        run, job, good = make_run(), make_job(), make_pod("generator", 1, ready=True)
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
        plan = look(make_run(), make_job(conditions=(job_condition("Complete"),)), pod, make_deployment(ready=1))
        assert plan.status.phase is Phase.SUCCEEDED
        assert said(plan, SUCCEEDED) == ("True", "Completed")
        assert message(plan, SUCCEEDED) == "20 steps are done and the model is saved in /volume/m on the volume."
        assert (plan.status.model, plan.status.progress.step) == ("/volume/m", 20)
        assert (plan.status.learners.ready, plan.status.generators.ready) == (0, 0)
        assert plan.look_again_s == 0

    def test_success_waits_a_moment_for_the_last_report(self) -> None:
        plan = look(make_run(), make_job(conditions=(job_condition("Complete", since_s=1),)), make_pod())
        assert said(plan, SUCCEEDED) is None
        assert plan.look_again_s == 3

    def test_success_does_not_wait_for_ever(self) -> None:
        plan = look(make_run(), make_job(conditions=(job_condition("Complete", since_s=3),)))
        assert said(plan, SUCCEEDED) == ("True", "Completed")

    def test_an_ended_run_keeps_its_job_and_loses_its_generators(self) -> None:
        job, pod = make_job(conditions=(job_condition("Complete"),)), make_pod(phase="Succeeded")
        run = then(make_run(), look(make_run(), job, pod))
        plan = look(run, job, pod, make_deployment(ready=1))
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


class TestStorage:
    def test_nothing_starts_without_the_users_claim(self) -> None:
        run = make_run(storage={"claimName": "mine"})
        plan = look(run)
        assert written(plan) == set()
        assert said(plan, STORAGE) == ("False", "ClaimNotFound")
        assert said(plan, ACCEPTED) == ("True", "Accepted")
        assert "spec.storage.claimName 'mine'" in message(plan, STORAGE)
        assert plan.look_again_s == 5

    @pytest.mark.parametrize(("later_s", "phase"), [(29, Phase.STARTING), (30, Phase.FAILED)])
    def test_a_claim_that_does_not_come_fails_the_run(self, later_s: float, phase: Phase) -> None:
        run = make_run(storage={"claimName": "mine"})
        plan = look(then(run, look(run)), now=NOW + timedelta(seconds=later_s))
        assert plan.status.phase is phase

    def test_the_users_claim_is_used(self) -> None:
        run = make_run(storage={"claimName": "mine"})
        plan = look(run, users_claim=make_claim("mine", owner=None))
        assert written(plan) == EVERYTHING - {f"PersistentVolumeClaim/{NAME}-volume"}
        assert said(plan, STORAGE) == ("True", "Bound")

    def test_a_claim_that_was_found_is_not_missed_when_it_was_not_looked_for(self) -> None:
        run = make_run(storage={"claimName": "mine"})
        run = then(run, look(run, users_claim=make_claim("mine", owner=None)))
        assert said(look(run), STORAGE) == ("True", "Bound")

    def test_a_retained_claim_of_an_earlier_run_is_taken_up(self) -> None:
        run = make_run(storage={"size": "1Gi", "retain": True})
        plan = look(run, make_claim(f"{NAME}-volume", owner=None))
        assert f"PersistentVolumeClaim/{NAME}-volume" not in written(plan)
        assert said(plan, STORAGE) == ("True", "Bound")
