"""First looks at a run: what is written, and what keeps a run from starting."""

from dataclasses import replace
from datetime import timedelta

import pytest

from grpo_contract.labels import Role
from grpo_operator.api.status import ConditionType, Phase, RecipeNote
from grpo_operator.reconcile.events import events_of
from grpo_operator.reconcile.world import Reading, Refusal
from unit.desired_inputs import UID, make_run
from unit.observed_inputs import (
    EVERYTHING,
    NAME,
    NOW,
    SETTINGS,
    TRAINING,
    all_children,
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
    written,
)

ACCEPTED = ConditionType.ACCEPTED
STORAGE = ConditionType.STORAGE_READY
THEIR_CLAIM = make_claim("mine", owner=None, run=None)
LEARNERS = ConditionType.LEARNERS_READY
GENERATORS = ConditionType.GENERATORS_READY
WEIGHTS = ConditionType.WEIGHTS_IN_SYNC
PROGRESSING = ConditionType.PROGRESSING
SUCCEEDED = ConditionType.SUCCEEDED
FAILED = ConditionType.FAILED


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
        assert plan.status.generators.selector == f"grpo.dev/role=generator,grpo.dev/run={NAME},grpo.dev/run-uid={UID}"

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

    def test_a_value_that_cannot_work_starts_nothing(self) -> None:
        recipe = make_run().spec.recipe | {"use_peft": True, "lora_target_modules": ["lm_head", "q_proj"]}
        plan = look(make_run(recipe=recipe))
        assert written(plan) == set()
        assert said(plan, ACCEPTED) == ("False", "InvalidRecipe")
        assert message(plan, ACCEPTED).startswith(
            'spec.recipe.lora_target_modules is ["lm_head", "q_proj"], but lm_head '
        )
        both = look(make_run(recipe=recipe | {"deepspeed": "z.json"}))
        assert said(both, ACCEPTED) == ("False", "OwnedKey")
        assert "deepspeed" in message(both, ACCEPTED)
        assert "lora_target_modules" in message(both, ACCEPTED)

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

    def test_where_a_recipe_of_today_would_write_makes_it_no_old_one(self) -> None:
        plan = look(make_run(recipe=make_run().spec.recipe | {"output_dir": "data/out"}))
        assert said(plan, ACCEPTED) == ("True", "Accepted")
        assert [note.key for note in plan.status.recipe.notes] == ["output_dir"]

    def test_of_a_recipe_of_today_there_is_nothing_to_say(self) -> None:
        assert look(make_run()).status.recipe.notes == []

    def test_an_owned_key_under_its_old_name_starts_nothing(self) -> None:
        plan = look(make_run(recipe=make_run().spec.recipe | {"no_cuda": True}))
        assert written(plan) == set()
        assert message(plan, ACCEPTED).startswith("spec.recipe.use_cpu is true")
        assert plan.status.recipe.notes[0] == RecipeNote(key="no_cuda", action="Is use_cpu today.")

    def test_everything_ready_is_said(self) -> None:
        run = make_run()
        children = [
            *(child for child in all_children(run) if child.kind not in ("Deployment", "PersistentVolumeClaim")),
            make_claim(f"{NAME}-volume"),
            make_deployment(),
            make_pod(ready=True),
            make_pod("generator", ready=True),
        ]
        plan = look(run, *children)
        assert said(plan, STORAGE) == ("True", "Bound")
        assert said(plan, GENERATORS) == ("True", "AllReady")
        assert said(plan, LEARNERS) == ("True", "AllReady")
        assert (plan.status.learners.ready, plan.status.generators.ready) == (1, 1)
        assert plan.look_again_s == SETTINGS.progress_interval_s

    def test_children_of_a_deleted_run_of_the_same_name_are_waited_for(self) -> None:
        run = make_run(storage={"claimName": "mine"})
        plan = look(run, replace(make_deployment(), owner_uid="another"), users_claim=THEIR_CLAIM)
        assert written(plan) == set()
        assert said(plan, ACCEPTED) == ("False", "NameTaken")
        assert f"Deployment {NAME}-generator" in message(plan, ACCEPTED)
        assert plan.look_again_s == 60

    @pytest.mark.parametrize(("run_uid", "ready"), [(UID, 1), ("another", 0)])
    def test_pods_of_a_deleted_run_of_the_same_name_are_not_its_own(self, run_uid: str, ready: int) -> None:
        plan = look(make_run(), make_pod(ready=True, run_uid=run_uid))
        assert plan.status.learners.ready == ready

    def test_a_refusal_before_the_start_is_no_acceptance(self) -> None:
        run = make_run(storage={"claimName": "mine"})
        plan = look(run, users_claim=THEIR_CLAIM, refusals=(Refusal("ChildRefused", "The quota says no."),))
        assert said(plan, ACCEPTED) == ("False", "ChildRefused")
        assert plan.status.phase is Phase.PENDING
        assert plan.status.started_at is None
        assert plan.look_again_s == 60
        assert said(plan, LEARNERS) == said(plan, PROGRESSING) == ("False", "ChildRefused")
        (event,) = events_of(run, plan.status)
        assert (event.type, event.reason, event.note) == ("Warning", "ChildRefused", "The quota says no.")

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

    def test_a_recipe_that_is_corrected_after_the_pods_were_made(self) -> None:
        """The status did not say yet that the run has started, so that the API server admits it."""
        children = all_children(make_run())
        corrected = make_run(recipe=make_run().spec.recipe | {"learning_rate": 3e-6})
        plan = look(corrected, *children)
        assert [child.ref for child in plan.delete] == [("Job", f"{NAME}-learner-1")]
        assert written(plan) == {f"ConfigMap/{NAME}-config", f"Deployment/{NAME}-generator"}
        without_job = [child for child in children if child.kind != "Job"]
        assert f"Job/{NAME}-learner-1" in written(look(corrected, *without_job))
        assert look(corrected, *all_children(corrected)).delete == ()

    def test_a_job_of_an_operator_that_did_not_write_its_recipe_down_stays(self) -> None:
        assert look(make_run(), make_job()).delete == ()

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
        run = make_run(storage={"claimName": "mine"})
        run = then(run, look(run, users_claim=THEIR_CLAIM))
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
        children = (make_job(), make_pod(ready=True), make_deployment(), make_pod("generator", ready=True))
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


class TestStorage:
    def test_nothing_starts_without_the_users_claim(self) -> None:
        run = make_run(storage={"claimName": "mine"})
        plan = look(run)
        assert written(plan) == set()
        assert said(plan, STORAGE) == ("False", "ClaimNotFound")
        assert said(plan, ACCEPTED) == ("True", "Accepted")
        assert "spec.storage.claimName 'mine'" in message(plan, STORAGE)
        assert plan.look_again_s == 5

    @pytest.mark.parametrize(("later_s", "phase"), [(29, Phase.PENDING), (30, Phase.FAILED)])
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
