"""What a generator says when it does not do what it is asked, and which of it is the recipe's mistake."""

import json
import re
from http import HTTPStatus
from typing import Final

from grpo_contract.failure import QUOTED_CHARACTERS, PodReason, UserError

REFUSALS: Final = {HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY}
"""Answers to a completion request that every generator would give: the request is wrong, not the generator."""
TOO_LONG: Final = re.compile(
    r"maximum context length is (?P<most>\d+) tokens\. However, you requested (?P<completion>\d+) output tokens "
    r"and your prompt contains (?:at least )?(?P<prompt>\d+) input tokens"
)


def words_of(body: str) -> str:
    """The message of vLLM's error object; of an answer that is none, its beginning."""
    try:
        message = json.loads(body)["error"]["message"]
    except (ValueError, LookupError, TypeError):
        message = body
    return str(message)[:QUOTED_CHARACTERS]


def refused_completions(generator: str, words: str) -> UserError:
    if found := TOO_LONG.search(words):
        return too_long(int(found["prompt"]), int(found["completion"]), int(found["most"]))
    complaint = (words.strip().splitlines() or ["no reason given"])[0].rstrip(" .")
    return UserError(
        PodReason.INVALID_RECIPE,
        f"spec.recipe.generation_kwargs: generator {generator} refuses a request for completions, {complaint}; "
        f"correct it, or the recipe's other keys of sampling.",
    )


def too_long(prompt: int, completion: int, most: int) -> UserError:
    """All in tokens."""
    needed = prompt + completion
    return UserError(
        PodReason.INVALID_RECIPE,
        f"spec.recipe.vllm_max_model_length: a prompt of {prompt} tokens and a completion of {completion} need "
        f"{needed}, generators take {most}; set it to at least {needed}, lower max_completion_length, or take so long "
        f"prompts out of the data set.",
    )
