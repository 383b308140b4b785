"""The recipe of a run: what its spec says up to the first step, and from then on what that step was made by.

Nobody may change the recipe of a run that has started, but the API server does: it drops keys that the custom resource of
now does not know, also from what it has stored. One curve must not mix two recipes.
"""

from grpo_contract.progress import Progress
from grpo_operator.api.run import GRPORun
from grpo_operator.desired.recipe import recipe_digest, recipe_of_pods
from grpo_operator.reconcile.observed import ObservedJob


def with_own_recipe(run: GRPORun, job: ObservedJob | None, progress: Progress | None) -> GRPORun:
    """The run with its recipe on record, as soon as it has made a step. `progress`: what is known of this attempt."""
    if run.status.recipe.digest or job is None or job.recipe is None or not _has_made_steps(run, progress):
        return run
    recipe = run.status.recipe.model_copy(update={"digest": job.recipe})
    return run.model_copy(update={"status": run.status.model_copy(update={"recipe": recipe})})


def recipe_has_changed(run: GRPORun) -> bool:
    return recipe_of_pods(run) != recipe_digest(run.spec)


def _has_made_steps(run: GRPORun, progress: Progress | None) -> bool:
    """Before the status says that the run has started, its recipe may be corrected whatever pods have done."""
    steps = max(run.status.progress.step, progress.progress.step if progress else 0)
    return run.status.started_at is not None and steps > 0
