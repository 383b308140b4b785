"""The tokenizer of the model, with the recipe's chat template when it has one."""

from typing import Any

from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError, RevisionNotFoundError
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from grpo_contract.failure import INVALID_RECIPE, MODEL_NOT_FOUND, UserError
from grpo_contract.paths import is_path
from grpo_trainer.causes import is_of_the_system
from grpo_trainer.recipe import Recipe

# The hub answered, and the answer was no. Anything else (no network, a time-out) is no mistake of the user's.
REFUSALS = (GatedRepoError, HFValidationError, RepositoryNotFoundError, RevisionNotFoundError)


def load_tokenizer(recipe: Recipe) -> PreTrainedTokenizerBase:
    """Raises UserError when model, revision or tokenizer do not exist, or a system prompt has no template."""
    name = recipe.model.model_name_or_path
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(
            name,
            revision=recipe.model.model_revision,
            trust_remote_code=recipe.training.trust_remote_code,
            padding_side="left",
            truncation_side="left",
        )
    except (OSError, ValueError) as error:
        refused = not is_of_the_system(error) if is_path(name) else isinstance(error.__cause__, REFUSALS)
        if refused:
            raise model_not_found(name, error) from error
        raise
    if recipe.script.chat_template is not None:
        tokenizer.chat_template = recipe.script.chat_template
    if recipe.script.system_prompt is not None and tokenizer.chat_template is None:
        raise UserError(
            INVALID_RECIPE,
            f"spec.recipe.system_prompt: the tokenizer of {name!r} has no chat template to put it in; "
            f"set spec.recipe.chat_template or remove system_prompt.",
        )
    return tokenizer


def model_not_found(name: str, error: BaseException) -> UserError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    return UserError(
        MODEL_NOT_FOUND,
        f"spec.recipe.model_name_or_path: {name!r} cannot be loaded, {reason}; "
        f"give a model's folder on the volume or its id on the hub, and HF_TOKEN in spec.learners.env if private.",
    )
