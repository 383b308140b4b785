"""User's mistakes that can be seen without torch: the launcher finds them within a second."""

import contextlib
import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

from grpo_contract.failure import PodReason, UserError
from grpo_contract.hub import pushes
from grpo_contract.model_folder import check_model_folder, model_permission, no_model
from grpo_contract.paths import FILE_FORMATS, is_path, listing, open_each, permission_needed, siblings
from grpo_contract.rewards import label_of
from grpo_trainer.hub.settings import read_settings
from grpo_trainer.packages import check_packages
from grpo_trainer.rewards import registry
from grpo_trainer.sources import Source, check_columns, sources_of

WEIGHT_FILES: Final = ("*.safetensors", "*.bin")
TOKENIZER_FILES: Final = ("tokenizer*", "vocab*")


def check(recipe: dict[str, Any], code: Sequence[Path] = ()) -> None:
    """`code`: folders of modules that the run brings along for its reward functions. Raises UserError."""
    check_model(required(recipe, "model_name_or_path", "the model's folder on the volume or its id on the hub"))
    for source in sources_of(recipe):
        check_dataset(source, recipe.get("dataset_prompt_column", "prompt"))
    check_packages(recipe)
    rewards = required(recipe, "reward_funcs", "a list of reward functions")
    registry.check_names(rewards, code)
    check_listed_once(rewards)


def required(recipe: dict[str, Any], key: str, what: str) -> Any:
    if not recipe.get(key):
        raise UserError(PodReason.INVALID_RECIPE, f"spec.recipe.{key}: missing; set it to {what}.")
    return recipe[key]


def check_model(name: str) -> None:
    if not is_path(name):
        return
    check_model_folder(name)
    with model_permission(name):
        check_model_files(name, Path(name))


def check_model_files(name: str, folder: Path) -> None:
    weights, tokenizer = matching(folder, WEIGHT_FILES), matching(folder, TOKENIZER_FILES)
    if not weights:
        raise no_model(name, f"has no weights, no {' or '.join(WEIGHT_FILES)} but {listing(folder)}")
    if not tokenizer:  # transformers would make an empty one
        raise no_model(name, f"has no tokenizer, no {' or '.join(TOKENIZER_FILES)} but {listing(folder)}")
    open_each([*weights, *tokenizer])


def matching(folder: Path, patterns: tuple[str, ...]) -> list[Path]:
    return [file for pattern in patterns for file in folder.glob(pattern)]


def check_dataset(source: Source, prompt_column: str) -> None:
    """What a path is, and the columns where the recipe or a glance at the first line tells."""
    if not is_path(source.name):
        check_columns(source, prompt_column, None)
        return
    with dataset_permission(source):
        check_dataset_path(source, Path(source.name), prompt_column)


def dataset_permission(source: Source) -> AbstractContextManager[None]:
    return permission_needed(f"spec.recipe.{source.key('id')}", source.name, PodReason.DATASET_NOT_FOUND)


def check_dataset_path(source: Source, path: Path, prompt_column: str) -> None:
    open_each([path])
    if not path.exists():
        problem = f"does not exist, {siblings(path)}"
    elif path.is_file() and path.suffix not in FILE_FORMATS:
        problem = f"is of no known format, its name does not end in {', '.join(FILE_FORMATS)}"
    elif path.is_file() and path.stat().st_size == 0:
        problem = "is empty"
    else:
        check_columns(source, prompt_column, first_columns(path))
        return
    raise UserError(
        PodReason.DATASET_NOT_FOUND,
        f"spec.recipe.{source.key('id')}: {source.name!r} {problem}; give a .jsonl, .json or .parquet file or a folder "
        f"written by save_to_disk on the run's volume, which is mounted at /volume, or the id of a data set on the hub.",
    )


def first_columns(path: Path) -> list[str] | None:
    """Of the first row of JSON Lines; None where that takes more than reading a line."""
    if path.suffix != ".jsonl" or not path.is_file():
        return None
    with path.open() as file, contextlib.suppress(ValueError):
        row = json.loads(file.readline())
        return list(row) if row and isinstance(row, dict) else None
    return None


def check_listed_once(rewards: Sequence[str]) -> None:
    """The learner and the metrics tell rewards by their labels: two of one label would be one."""
    labels = [label_of(name) for name in rewards]
    if twice := [name for name, label in zip(rewards, labels, strict=True) if labels.count(label) > 1]:
        raise UserError(
            PodReason.INVALID_RECIPE,
            f"spec.recipe.reward_funcs holds {twice[0]!r} more than once; list it once and give its weight in "
            f"reward_weights.",
        )


def check_hub(recipe: dict[str, Any], run_name: str) -> None:
    """Of a run that pushes, what is certain to fail. Whether the token may write, the hub knows; it is not asked here.

    Raises:
        UserError: a name that no repository can have, or no token.
    """
    settings = read_settings(recipe, run_name)
    if settings is None:
        return
    from huggingface_hub import get_token  # only runs that push need it
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(settings.repository)
    except HFValidationError as error:
        words = " ".join(str(error).split()).rstrip(".")
        raise UserError(
            PodReason.INVALID_RECIPE, f"spec.recipe.hub_model_id: {words}; set it to such a name."
        ) from error
    if get_token() is None:
        raise UserError(
            PodReason.INVALID_RECIPE,
            f"spec.recipe.{pushes(recipe)} is set, but the learners have no token for the hub; set HF_TOKEN from a Secret in "
            f"spec.learners.env.",
        )
