"""Whether the recipe's model can be one at all, asked before vLLM is imported: an answer in seconds instead of minutes.

Only what a generator needs to start is looked for, the model's config.json; its weights may come from the learner.
"""

import json
from pathlib import Path
from typing import Any, Final

from grpo_contract.failure import MODEL_NOT_FOUND, UserError

CONFIG_NAME: Final = "config.json"
HUB_TIMEOUT_S: Final = 10.0


def check_model(recipe: dict[str, Any]) -> None:
    """
    Raises:
        UserError: there is no such folder or repository, or what is there is no model.
    """
    model = str(recipe["model_name_or_path"])
    if is_path(model):
        _check_folder(Path(model))
    else:
        _check_repository(model, recipe.get("model_revision"))


def is_path(model: str) -> bool:
    """As opposed to a name on the hub."""
    return model.startswith(("/", "./", "../"))


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise _not_found(
            folder, "there is no such folder", "put the model there, or give the name of a model on the hub"
        )
    try:
        config = json.loads((folder / CONFIG_NAME).read_bytes())
    except FileNotFoundError as error:
        raise _not_found(
            folder, f"the folder has no {CONFIG_NAME}", "name a folder written by save_pretrained"
        ) from error
    except ValueError as error:
        raise _not_found(folder, f"its {CONFIG_NAME} is no JSON ({error})", "save the model anew") from error
    if not (isinstance(config, dict) and config.get("model_type")):
        raise _not_found(folder, f"its {CONFIG_NAME} names no model_type", "name a folder written by save_pretrained")


def _check_repository(model: str, revision: str | None) -> None:
    """A hub that cannot be reached now is no mistake of the user: vLLM will meet it, and the pod tries again."""
    import httpx
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import (
        EntryNotFoundError,
        HfHubHTTPError,
        HFValidationError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        get_hf_file_metadata(hf_hub_url(model, CONFIG_NAME, revision=revision), timeout=HUB_TIMEOUT_S)
    except HFValidationError as error:
        raise _not_found(model, "that is neither a folder nor a name on the hub", "write organization/name") from error
    except RevisionNotFoundError as error:
        raise _not_found(model, f"it has no revision {revision}", "correct model_revision") from error
    except RepositoryNotFoundError as error:
        remedy = "correct the name, or give the generators HF_TOKEN if it is private"
        raise _not_found(model, "the hub has no such model", remedy) from error
    except EntryNotFoundError as error:
        raise _not_found(model, f"it has no {CONFIG_NAME}", "name a transformers model") from error
    except (HfHubHTTPError, httpx.HTTPError, OfflineModeIsEnabled):
        return


def _not_found(model: object, problem: str, remedy: str) -> UserError:
    return UserError(MODEL_NOT_FOUND, f"recipe.model_name_or_path is {model}, but {problem}: {remedy}")
