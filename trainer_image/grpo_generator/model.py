"""Whether the recipe's model can be one at all, asked before vLLM is imported: an answer in seconds instead of minutes.

Only what a generator needs to start is looked for, the model's config.json; its weights may come from the learner.
"""

from typing import Any, Final

from grpo_contract.failure import PodReason, UserError
from grpo_contract.model_folder import CONFIG_NAME, check_model_folder
from grpo_contract.paths import is_path

HUB_TIMEOUT_S: Final = 10.0


def check_model(recipe: dict[str, Any]) -> None:
    """
    Raises:
        UserError: there is no such folder or repository, or what is there is no model.
    """
    model = str(recipe["model_name_or_path"])
    if is_path(model):
        check_model_folder(model)
    else:
        _check_repository(model, recipe.get("model_revision"))


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
        raise _not_found(model, "is neither a path nor an id on the hub", "write organization/name") from error
    except RevisionNotFoundError as error:
        raise _not_found(model, f"has no revision {revision!r}", "correct spec.recipe.model_revision") from error
    except RepositoryNotFoundError as error:
        remedy = "correct the id, or set HF_TOKEN in spec.generators.env if it is private"
        raise _not_found(model, "is not on the hub", remedy) from error
    except EntryNotFoundError as error:
        raise _not_found(model, f"has no {CONFIG_NAME}", "name a transformers model") from error
    except (HfHubHTTPError, httpx.HTTPError, OfflineModeIsEnabled):
        return


def _not_found(model: str, problem: str, remedy: str) -> UserError:
    return UserError(PodReason.MODEL_NOT_FOUND, f"spec.recipe.model_name_or_path: {model!r} {problem}; {remedy}.")
