"""Whether a folder can be a model, as learners and generators ask it before they import anything heavy."""

import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from grpo_contract.failure import PodReason, UserError
from grpo_contract.paths import listing, permission_needed, siblings

CONFIG_NAME: Final = "config.json"


def check_model_folder(name: str) -> None:
    """Only what both need: the folder and its configuration. Weights and tokenizer are the learner's.

    Raises:
        UserError: there is no such folder, or what is there is no model.
    """
    with model_permission(name):
        _check_folder(name, Path(name))


def model_permission(name: str) -> AbstractContextManager[None]:
    return permission_needed("spec.recipe.model_name_or_path", name, PodReason.MODEL_NOT_FOUND)


def _check_folder(name: str, folder: Path) -> None:
    if not folder.is_dir():
        raise no_model(name, "is a file" if folder.exists() else f"does not exist, {siblings(folder)}")
    try:
        config = json.loads((folder / CONFIG_NAME).read_bytes())
    except FileNotFoundError as error:
        raise no_model(name, f"is no model, it has no {CONFIG_NAME} but {listing(folder)}") from error
    except IsADirectoryError as error:
        raise no_model(name, f"is no model, its {CONFIG_NAME} is a folder") from error
    except ValueError as error:
        raise no_model(name, f"is no model, its {CONFIG_NAME} is no JSON ({error})") from error
    if not (isinstance(config, dict) and config.get("model_type")):
        raise no_model(name, f"is no model, its {CONFIG_NAME} names no model_type")


def no_model(name: str, problem: str) -> UserError:
    return UserError(
        PodReason.MODEL_NOT_FOUND,
        f"spec.recipe.model_name_or_path: {name!r} {problem}; "
        f"give a model's folder on the run's volume, which is mounted at /volume, or its id on the hub.",
    )
