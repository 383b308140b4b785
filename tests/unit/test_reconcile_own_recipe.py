"""A run whose spec.recipe lost a key by the API server: it keeps the recipe of its first step, and says so once."""

from typing import Any

import pytest

from grpo_contract.progress import Progress, Stage, Steps
from grpo_operator.api.run import GRPORun
from grpo_operator.api.status import ConditionType, Phase
from grpo_operator.desired.digest import digest_of_json
from grpo_operator.desired.manifest import Manifest
from grpo_operator.desired.recipe import RECIPE_ANNOTATION, recipe_digest
from grpo_operator.reconcile.events import events_of
from grpo_operator.reconcile.observed import ObservedChild
from grpo_operator.reconcile.plan import Plan
from grpo_operator.reconcile.world import Reading
from unit.desired_inputs import make_run
from unit.observed_inputs import (
    EVERYTHING,
    NAME,
    ago,
    all_children,
    failed_learner,
    job_condition,
    look,
    make_condition,
    make_job,
    make_pod,
    message,
    said,
    then,
    with_conditions,
    written,
)

ACCEPTED = ConditionType.ACCEPTED
JOB, CONFIG = f"Job/{NAME}-learner-1", f"ConfigMap/{NAME}-config"
DEPLOYMENT = f"Deployment/{NAME}-generator"

LOST_KEY = {"torch_dtype": "bfloat16"}
"""An old name, so that there is a note of it."""


def whole(**spec: Any) -> GRPORun:
    return make_run(recipe=make_run().spec.recipe | LOST_KEY, **spec)


def pruned(**spec: Any) -> GRPORun:
    return make_run(**spec)


DIGEST = recipe_digest(whole().spec)
CHILDREN = all_children(whole())
LEARNER = make_pod(ready=True)


def started(run: GRPORun) -> GRPORun:
    return with_conditions(run, make_condition(ACCEPTED, "True", "Accepted"), started_at=ago(600))


def look_at(run: GRPORun, *children: ObservedChild, step: int = 7, **world: Any) -> Plan:
    progress = Progress(attempt=1, stage=Stage.TRAINING, progress=Steps(step=step, max_steps=20))
    return look(run, *(children or CHILDREN), LEARNER, reading=Reading(progress), **world)


def with_steps() -> Plan:
    """The last look at the run as it was."""
    return look_at(started(whole()))


def manifest_of(plan: Plan, name: str) -> Manifest:
    (found,) = [child.manifest for child in plan.write if child.manifest["metadata"]["name"] == name]
    return found


def recipe_on(manifest: Manifest) -> str:
    annotation: str = manifest["spec"]["template"]["metadata"]["annotations"][RECIPE_ANNOTATION]
    return annotation


class TestRecord:
    def test_the_recipe_is_on_record_from_the_first_step_on(self) -> None:
        assert look_at(started(whole()), step=0).status.recipe.digest is None
        plan = with_steps()
        assert plan.status.recipe.digest == DIGEST
        assert (written(plan), plan.delete) == (set(), ())
        again = look_at(then(whole(), plan))
        assert (again.status, written(again)) == (plan.status, set())

    @pytest.mark.parametrize("why", ["no Job", "a Job that does not tell its recipe"])
    def test_what_is_not_known_is_not_put_on_record(self, why: str) -> None:
        others = [child for child in CHILDREN if child.kind != "Job"]
        job = () if why == "no Job" else (make_job(),)
        assert look_at(started(whole()), *others, *job).status.recipe.digest is None

    def test_a_recipe_that_is_corrected_before_the_start_is_on_record_counts(self) -> None:
        """Then the API server admits it, however far the learners are."""
        plan = look_at(pruned())
        assert [child.ref for child in plan.delete] == [("Job", f"{NAME}-learner-1")]
        assert written(plan) == {CONFIG, DEPLOYMENT}

    def test_a_run_that_has_made_no_step_follows_its_spec(self) -> None:
        plan = look_at(started(pruned()), step=0)
        assert [child.ref for child in plan.delete] == [("Job", f"{NAME}-learner-1")]
        assert written(plan) == {CONFIG, DEPLOYMENT}
        assert said(plan, ACCEPTED) == ("True", "Accepted")

    def test_how_stale_completions_may_be_belongs_to_it(self) -> None:
        """Corrected together with the recipe, and of a run that is on-policy no part: older operators put that on record."""
        plan = look_at(whole(generators={"maxStaleness": 1}))
        assert [child.ref for child in plan.delete] == [("Job", f"{NAME}-learner-1")]
        assert written(plan) == {CONFIG, DEPLOYMENT}
        spec = whole().spec
        assert recipe_digest(spec) == digest_of_json([spec.recipe, "current"])

    def test_and_so_does_dynamic_sampling(self) -> None:
        plan = look_at(whole(sampling={"dynamic": True}))
        assert [child.ref for child in plan.delete] == [("Job", f"{NAME}-learner-1")]
        assert written(plan) == {CONFIG, DEPLOYMENT}
        digests = [recipe_digest(whole(sampling=sampling).spec) for sampling in ({}, {"maxRounds": 5})]
        assert digests == [DIGEST, DIGEST], "without it, rounds make no difference"
        assert recipe_digest(whole(sampling={"dynamic": True, "maxRounds": 5}).spec) not in {
            DIGEST,
            recipe_digest(whole(sampling={"dynamic": True}).spec),
        }


class TestChange:
    def test_nothing_of_the_attempt_is_touched_and_the_condition_says_it(self) -> None:
        plan = look_at(then(pruned(), with_steps()))
        assert (written(plan), plan.delete) == (set(), ())
        assert said(plan, ACCEPTED) == ("True", "RecipeChanged")
        assert message(plan, ACCEPTED) == (
            "spec.recipe is no longer the recipe that this run has made its steps by, mostly because the API server dropped "
            "a key that the custom resource of now does not know: the run goes on by its own, in later attempts as well, as "
            f"long as you leave ConfigMap {NAME}-config, which holds it; install the custom resource of a release that knows "
            "the key before other runs lose it."
        )
        assert plan.status.phase is Phase.RUNNING
        assert plan.status.recipe == with_steps().status.recipe, "the notes are of its own recipe"

    def test_it_is_seen_in_the_same_look_as_the_first_step(self) -> None:
        plan = look_at(started(pruned()))
        assert (written(plan), plan.delete) == (set(), ())
        assert plan.status.recipe.digest == DIGEST
        assert said(plan, ACCEPTED) == ("True", "RecipeChanged")

    def test_it_is_told_once(self) -> None:
        before = then(pruned(), with_steps())
        plan = look_at(before)
        assert [(event.type, event.reason) for event in events_of(before, plan.status)] == [
            ("Warning", "RecipeChanged")
        ]
        after = then(pruned(), plan)
        assert look_at(after).status == plan.status
        failed = look(after, make_job(conditions=(job_condition("Failed"),)), failed_learner())
        assert said(failed, ACCEPTED) == ("True", "RecipeChanged")
        assert [event.reason for event in events_of(after, failed.status)] == ["LearnerError"]

    def test_the_next_attempt_has_the_recipe_of_the_first_step(self) -> None:
        run = then(pruned(), look_at(then(pruned(), with_steps())))
        job, pod = make_job(conditions=(job_condition("Failed"),)), failed_learner()
        run = then(run, look(run, job, pod))
        others = [child for child in CHILDREN if child.kind != "Job"]
        plan = look(run, job, pod, *others)
        assert written(plan) == {f"Job/{NAME}-learner-2", f"Service/{NAME}-learner", DEPLOYMENT}
        assert recipe_on(manifest_of(plan, f"{NAME}-learner-2")) == DIGEST

    def test_a_run_that_goes_on_after_its_end_has_it_too(self) -> None:
        run = then(pruned(maxRestarts=0), with_steps())
        job, pod = make_job(conditions=(job_condition("Failed"),)), failed_learner()
        ended = then(pruned(maxRestarts=1), look(run, job, pod))
        resumed = then(pruned(maxRestarts=1), look(ended, job, pod))
        plan = look(resumed, job, pod, *(child for child in CHILDREN if child.kind not in ("Job", "Deployment")))
        assert written(plan) == {f"Job/{NAME}-learner-2", f"Service/{NAME}-learner", DEPLOYMENT}
        assert recipe_on(manifest_of(plan, f"{NAME}-learner-2")) == DIGEST
        assert [recipe_on(child.manifest) for child in plan.write if child.manifest["kind"] == "Deployment"] == [DIGEST]

    def test_another_file_is_never_written(self) -> None:
        """Without the one that holds the run's own recipe, pods wait."""
        run = then(pruned(), with_steps())
        assert written(look_at(run, is_full_pass=True)) == {
            name
            for name in EVERYTHING
            if not name.startswith(("ConfigMap/", "Job/", "Secret/", "PersistentVolumeClaim/"))
        }
        others = [child for child in CHILDREN if child.kind != "ConfigMap"]
        assert written(look_at(run, *others)) == set()

    def test_all_else_that_may_change_does(self) -> None:
        plan = look_at(then(pruned(generators={"replicas": 3}), with_steps()))
        assert written(plan) == {DEPLOYMENT}
        manifest = manifest_of(plan, f"{NAME}-generator")
        assert (manifest["spec"]["replicas"], recipe_on(manifest)) == (3, DIGEST)

    def test_a_recipe_that_is_whole_again_is_all_there_is_to_say(self) -> None:
        changed = look_at(then(pruned(), with_steps()))
        plan = look_at(then(whole(), changed))
        assert said(plan, ACCEPTED) == ("True", "Accepted")
        assert (written(plan), plan.delete) == (set(), ())

    def test_an_ended_run_stays_as_it_is(self) -> None:
        run = then(whole(maxRestarts=0), with_steps())
        ended = then(
            pruned(maxRestarts=0), look(run, make_job(conditions=(job_condition("Failed"),)), failed_learner())
        )
        assert look(ended).status == ended.status
