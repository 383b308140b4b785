"""A run's recipe in today's keys, as learners and generators get it. The user's own is left as it is."""

from typing import Final

from grpo_contract.labels import API_GROUP
from grpo_contract.recipe.defaults import ERAS, Era, moved_defaults, with_defaults
from grpo_contract.recipe.old_keys import OLD_KEYS, Note, Recipe, translate
from grpo_operator.api.run import GRPORun
from grpo_operator.api.spec import GRPORunSpec
from grpo_operator.desired.digest import digest_of_json

RECIPE_ANNOTATION: Final = f"{API_GROUP}/recipe"
"""On pod templates: which recipe the pods are of. The rest of what makes them may change with the operator's version."""


def recipe_digest(spec: GRPORunSpec) -> str:
    """Of all that says what is computed. What older operators put on record knows nothing of staleness and sampling."""
    staleness, sampling = spec.generators.max_staleness, spec.sampling
    added = [*([staleness] if staleness else []), *([sampling.model_dump()] if sampling.dynamic else [])]
    return digest_of_json([spec.recipe, spec.recipe_defaults, *added])


def recipe_of_pods(run: GRPORun) -> str:
    """The digest of the recipe that pods of the run are of: once it has made a step, of the one that this was made by."""
    return run.status.recipe.digest or recipe_digest(run.spec)


def era_of(spec: GRPORunSpec) -> Era | None:
    """None for one that only a newer operator knows."""
    return next((era for era in ERAS if era == spec.recipe_defaults), None)


def todays_recipe(spec: GRPORunSpec) -> tuple[Recipe, list[Note]]:
    """Who uses old keys and names no era is told of defaults that have moved; who writes a recipe today is not."""
    translated, notes = translate(spec.recipe)
    era = era_of(spec)
    if era is None:
        return translated, notes
    if era == "current":
        is_old = any(note.key in OLD_KEYS for note in notes)
        return translated, [*notes, *(moved_defaults(translated) if is_old else ())]
    filled, of_defaults = with_defaults(translated, era)
    return filled, [*notes, *of_defaults]
