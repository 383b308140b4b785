"""Whether a run can be started as it is written: what only the operator can know of it before any pod runs."""

from collections.abc import Iterable, Mapping

from grpo_contract.labels import Role
from grpo_contract.recipe.defaults import ERAS
from grpo_contract.recipe.mistakes import recipe_mistakes
from grpo_contract.recipe.owned_keys import owned_keys
from grpo_operator.api.recipe_keys import released_defaults
from grpo_operator.api.run import GRPORun
from grpo_operator.api.status import ConditionType
from grpo_operator.desired import names
from grpo_operator.desired.benchmarks import known_benchmarks, unknown_benchmarks
from grpo_operator.desired.children import Child
from grpo_operator.desired.manifest import role_of
from grpo_operator.desired.recipe import era_of, todays_recipe
from grpo_operator.reconcile.changes import ref_of
from grpo_operator.reconcile.conditions import Statement, is_true
from grpo_operator.reconcile.observed import ObservedChild, Ref
from grpo_operator.reconcile.own_recipe import recipe_has_changed
from grpo_operator.reconcile.reasons import Reason
from grpo_operator.reconcile.world import Refusal
from grpo_operator.settings import Settings

_ACCEPTED = Statement(ConditionType.ACCEPTED, "True", Reason.ACCEPTED, "The run can be started as it is written.")


def judge_era(run: GRPORun) -> Statement | None:
    """None when this operator knows whose defaults the recipe has: else it cannot tell what the recipe means."""
    if era_of(run.spec) is not None:
        return None
    message = (
        f"spec.recipeDefaults is {run.spec.recipe_defaults!r}, which this operator does not know: set it to one of "
        f"{', '.join(ERAS)}, or install an operator that knows it. Until then it leaves everything of this run as it is."
    )
    return Statement(ConditionType.ACCEPTED, "False", Reason.UNKNOWN_RECIPE_DEFAULTS, message)


def judge_recipe(run: GRPORun) -> Statement | None:
    """None when the recipe leaves to the operator what is the operator's, and says nothing that cannot work."""
    recipe, _ = todays_recipe(run.spec)
    owned, mistakes = owned_keys(recipe), recipe_mistakes(recipe, released_defaults())
    if not owned and not mistakes:
        return None
    reason = Reason.OWNED_KEY if owned else Reason.INVALID_RECIPE
    return Statement(ConditionType.ACCEPTED, "False", reason, " ".join([*owned, *mistakes]))


def judge_benchmark_names(run: GRPORun, settings: Settings) -> Statement | None:
    """None when there is a benchmark for each name, or none at all on this cluster: recipes come from elsewhere."""
    if not settings.benchmarks.image or not (unknown := unknown_benchmarks(run, settings)):
        return None
    message = (
        f"spec.recipe.benchmarks holds {unknown[0]!r}, but the operator's chart has the benchmarks "
        f"{', '.join(known_benchmarks(settings))}; take one of these, or have it added to benchmarks.tasks there."
    )
    return Statement(ConditionType.ACCEPTED, "False", Reason.UNKNOWN_BENCHMARK, message)


def taken_names(wanted: Iterable[Child], foreign: Mapping[Ref, ObservedChild]) -> list[Refusal]:
    """Children that cannot be written because somebody else's object has their name."""
    return [name_taken(child) for child in wanted if ref_of(child) in foreign]


def name_taken(child: Child) -> Refusal:
    message = (
        f"{_named(child)} exists and does not belong to this run, by owner or by label: delete or rename it, or give the "
        "run another name. (What a deleted run of the same name left goes by itself.)"
    )
    return Refusal(Reason.NAME_TAKEN, message, role_of(child.manifest))


def refused_child(child: Child, server_says: str) -> Refusal:
    message = (
        f"The API server refused {_named(child)} of this run ({server_says.rstrip('.')}): "
        "correct the field that it names, where lists begin with what the operator adds, or lift the quota or policy. "
        "It is tried again at least once a minute."
    )
    return Refusal(Reason.CHILD_REFUSED, message, role_of(child.manifest))


def _named(child: Child) -> str:
    return " ".join(ref_of(child))


def accepted(run: GRPORun) -> Statement:
    """Of a run against which there is nothing to be said, or that goes on whatever there is."""
    if not recipe_has_changed(run):
        return _ACCEPTED
    message = (
        "spec.recipe is no longer the recipe that this run has made its steps by, mostly because the API server dropped a key "
        "that the custom resource of now does not know: the run goes on by its own, in later attempts as well, as long as you "
        f"leave ConfigMap {names.config_map(run.metadata.name)}, which holds it; install the custom resource of a release that "
        "knows the key before other runs lose it."
    )
    return Statement(ConditionType.ACCEPTED, "True", Reason.RECIPE_CHANGED, message)


def judge_acceptance(run: GRPORun, refusals: Iterable[Refusal]) -> Statement:
    """A run that was accepted once and has started stays so: of a later refusal, the condition of its role tells. One that is
    held before its start is accepted by its recipe alone."""
    first = next((refusal for refusal in refusals if refusal.role is not Role.BENCHMARK), None)
    was_accepted = run.status.started_at is not None and is_true(run.status.conditions, ConditionType.ACCEPTED)
    if first is None or was_accepted:
        return accepted(run)
    return Statement(ConditionType.ACCEPTED, "False", first.reason, first.message)
