"""What a repository of the hub and its revisions can be called: huggingface_hub's rules, and git's."""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final

from grpo_contract import hub
from grpo_contract.paths import is_path
from grpo_contract.recipe import dataset_mixture

_NAME: Final = r"\b[\w\-.]{1,96}\b"
REPOSITORY: Final = re.compile(rf"({_NAME}/)?{_NAME}", re.ASCII)
NEVER: Final = ("--", "..")
"""In the name of a repository."""
REVISION: Final = re.compile(r"(?!.*\.\.)[^\s~^:?*\[\\]+")

Recipe = Mapping[str, Any]


def is_repository(name: str) -> bool:
    return REPOSITORY.fullmatch(name) is not None and not name.endswith(".git") and not any(no in name for no in NEVER)


def source_mistake(key: str, recipe: Recipe) -> str | None:
    """Of a model or a data set, in one sentence."""
    name = recipe.get(key)
    return None if not name or is_path(name) or is_repository(name) else _no_repository(f"{key} is", name)


def mixture_mistake(recipe: Recipe) -> str | None:
    for name in _mixed(recipe):
        if not is_path(name) and not is_repository(name):
            return _no_repository(f"{dataset_mixture.KEY}.datasets holds", name)
    return None


def target_mistake(recipe: Recipe) -> str | None:
    """Of where a run pushes to."""
    name = recipe.get("hub_model_id")
    return (
        None
        if not name or hub.pushes(recipe) is None or is_repository(name)
        else _no_repository("hub_model_id is", name)
    )


def model_revision_mistake(recipe: Recipe) -> str | None:
    return None if is_path(recipe.get("model_name_or_path") or "") else _revision_mistake("model_revision", recipe)


def target_revision_mistake(recipe: Recipe) -> str | None:
    return None if hub.pushes(recipe) is None else _revision_mistake("hub_revision", recipe)


def _mixed(recipe: Recipe) -> Iterator[str]:
    for entry in (recipe.get(dataset_mixture.KEY) or {}).get("datasets", ()):
        yield entry["id"]


def _no_repository(where: str, name: str) -> str:
    return (
        f"spec.recipe.{where} '{name}', which can be no repository of the hub: that is name or owner/name, of letters, digits, "
        "'-', '_' and '.', without '--' and '..'; correct it."
    )


def _revision_mistake(key: str, recipe: Recipe) -> str | None:
    revision = recipe.get(key)
    if not revision or REVISION.fullmatch(revision):
        return None
    return (
        f"spec.recipe.{key} is '{revision}', which can be no branch, tag or commit: these have no spaces, no '..' and none "
        "of ~^:?*[\\; correct it."
    )


CHECKS: Final[tuple[tuple[tuple[str, ...], Callable[[Recipe], str | None]], ...]] = (
    *(((key,), partial(source_mistake, key)) for key in ("model_name_or_path", "dataset_name")),
    ((dataset_mixture.KEY,), mixture_mistake),
    (("hub_model_id", *hub.KEYS), target_mistake),
    (("model_name_or_path", "model_revision"), model_revision_mistake),
    (("hub_revision", *hub.KEYS), target_revision_mistake),
)
"""As in mistakes.py."""
