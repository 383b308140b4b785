"""The tokenizer of the model, with the recipe's chat template when it has one."""

from collections.abc import Mapping
from typing import Any, Final

import jinja2
from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError, RevisionNotFoundError
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from grpo_contract.failure import PodReason, UserError
from grpo_contract.paths import is_path
from grpo_trainer.causes import first_line, is_of_the_system
from grpo_trainer.inputs.hub_silence import loading_model
from grpo_trainer.recipe import Recipe

# The hub answered, and the answer was no. Anything else (no network, a time-out) is no mistake of the user's.
REFUSALS: Final = (GatedRepoError, HFValidationError, RepositoryNotFoundError, RevisionNotFoundError)

USER: Final = {"role": "user", "content": "Hello?"}
SYSTEM: Final = {"role": "system", "content": "Think."}


def load_tokenizer(recipe: Recipe) -> PreTrainedTokenizerBase:
    """
    Raises:
        UserError: model, revision or tokenizer do not exist, or the chat template does not do its work.
        RunFailure: the hub gives no answer.
    """
    name = recipe.model.model_name_or_path
    with loading_model(name, recipe.model.model_revision):
        tokenizer = pretrained_tokenizer(recipe)
    if recipe.script.chat_template is not None:
        tokenizer.chat_template = recipe.script.chat_template
    if recipe.script.system_prompt is not None and tokenizer.chat_template is None:
        raise UserError(
            PodReason.INVALID_RECIPE,
            f"spec.recipe.system_prompt: the tokenizer of {name!r} has no chat template to put it in; "
            f"set spec.recipe.chat_template or remove system_prompt.",
        )
    if tokenizer.chat_template is not None:
        check_template(tokenizer, recipe)
    return tokenizer


def pretrained_tokenizer(recipe: Recipe) -> Any:
    name = recipe.model.model_name_or_path
    try:
        return AutoTokenizer.from_pretrained(
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


def model_not_found(name: str, error: BaseException) -> UserError:
    return UserError(
        PodReason.MODEL_NOT_FOUND,
        f"spec.recipe.model_name_or_path: {name!r} cannot be loaded, {first_line(error)}; "
        f"give a model's folder on the volume or its id on the hub, and HF_TOKEN in spec.learners.env if private.",
    )


def check_template(tokenizer: PreTrainedTokenizerBase, recipe: Recipe) -> None:
    """Renders conversations as TRL will: with a system message when the recipe has one, otherwise with or without, since
    the data set's may bring theirs.

    Raises:
        UserError: the template is broken, or refuses the recipe's system message.
    """
    alone = complaint(tokenizer, [USER], recipe.training.chat_template_kwargs)
    with_system = complaint(tokenizer, [SYSTEM, USER], recipe.training.chat_template_kwargs)
    if alone and with_system:
        raise broken_template(recipe, alone)
    if with_system and recipe.script.system_prompt is not None:
        raise UserError(
            PodReason.INVALID_RECIPE,
            f"spec.recipe.system_prompt: the chat template refuses a system message, {with_system}; "
            f"set spec.recipe.chat_template to one that takes it, or remove system_prompt.",
        )


def complaint(
    tokenizer: PreTrainedTokenizerBase, conversation: list[dict[str, str]], template_arguments: Mapping[str, Any] | None
) -> str | None:
    """A template's own operations on what it is given raise Python's TypeError."""
    try:
        tokenizer.apply_chat_template(
            conversation, add_generation_prompt=True, tokenize=False, **(template_arguments or {})
        )
    except (jinja2.TemplateError, TypeError) as error:
        return first_line(error)
    return None


def broken_template(recipe: Recipe, problem: str) -> UserError:
    if recipe.script.chat_template is not None:
        return UserError(
            PodReason.INVALID_RECIPE,
            f"spec.recipe.chat_template: it cannot render a conversation, {problem}; "
            f"correct it, or leave it out to use the tokenizer's.",
        )
    return UserError(
        PodReason.INVALID_RECIPE,
        f"spec.recipe.model_name_or_path: the chat template of the tokenizer of {recipe.model.model_name_or_path!r} "
        f"cannot render a conversation, {problem}; set spec.recipe.chat_template.",
    )
