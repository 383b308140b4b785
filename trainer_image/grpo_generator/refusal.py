"""What vLLM refuses of a run, as a sentence for whoever wrote it: while it makes its configuration, one thing later.

vLLM and transformers wrap much into ValueError, also what a volume, the hub or a device did: an error with a cause of
another kind is no refusal, and another attempt may not meet it.
"""

import argparse
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from grpo_contract.failure import QUOTED_CHARACTERS, PodReason, UserError

OF_THE_ARGUMENTS: Final = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    AssertionError,
    argparse.ArgumentError,
    argparse.ArgumentTypeError,
)
"""Kinds of errors that may be the cause of a refusal."""
OF_THE_NODE: Final = ("available_gpus",)
"""Words of refusals that are no fault of the arguments: the pod was given as many GPUs as it asks for."""


@dataclass(frozen=True)
class Origin:
    """Where an argument of vLLM comes from in a run."""

    words: str
    """vLLM's for it, in lower case with underscores."""
    flag: str
    field: str
    remedy: str


_OTHER_MODEL: Final = "name a model that vLLM can serve"
ORIGINS: Final = (
    Origin("max_model_len", "--max-model-len", "recipe.vllm_max_model_length", "set a smaller number of tokens"),
    Origin(
        "tensor_parallel_size",
        "--tensor-parallel-size",
        "generators.gpus",
        "choose a number that divides the attention heads of the model",
    ),
    Origin(
        "gpu_memory_utilization",
        "--gpu-memory-utilization",
        "recipe.vllm_gpu_memory_utilization",
        "choose a share above 0 and at most 1",
    ),
    Origin("model_impl", "--model-impl", "recipe.vllm_model_impl", "set it to vllm or transformers, or leave it out"),
    Origin(
        "trust_remote_code",
        "--trust-remote-code",
        "recipe.trust_remote_code",
        "set it to true if you trust the code in the model's folder",
    ),
    Origin("architectures", "--model", "recipe.model_name_or_path", _OTHER_MODEL),
    Origin("model_type", "--model", "recipe.model_name_or_path", _OTHER_MODEL),
    Origin("dtype", "--dtype", "recipe.bf16 and fp16", "set one of them to true, or both to false for float32"),
)
"""The first whose words are in the refusal."""

NO_ROOM: Final = re.compile(
    r"max seq len \((?P<tokens>\d+)\), \((?P<needed>[\d.]+ GiB) KV cache is needed, "
    r"which is larger than the available KV cache memory \((?P<available>[\d.]+ GiB)\)"
    r"(?:.* estimated maximum model length is (?P<fitting>\d+))?"
)


def users_mistake(error: ValueError, arguments: Sequence[str]) -> UserError | None:
    """None when the error is not, or not certainly, about what the run says: a refusal ends it for good."""
    told = _told(error)
    searched = re.sub(r"[\s-]+", "_", told.lower())
    if any(not isinstance(cause, OF_THE_ARGUMENTS) for cause in _causes(error)):
        return None
    if any(words in searched for words in OF_THE_NODE):
        return None
    origin = next((origin for origin in ORIGINS if origin.words in searched), None)
    if origin is None:
        return None
    first_line = told.strip().partition("\n")[0][:QUOTED_CHARACTERS].rstrip(" .")
    sentence = re.split(r"\.\s+(?=[A-Z])", first_line)[0]
    value = _value(arguments, origin.flag)
    return UserError(
        PodReason.INVALID_RECIPE, f"spec.{origin.field}: vLLM refuses {value}, {sentence}; {origin.remedy}."
    )


def no_room_for_cache(last_error: str) -> UserError | None:
    """vLLM's engine says it while it starts, once it has measured what the model leaves: never of one that has served.

    Both numbers follow from the run (its model, its lengths, its memory), so that another start would end the same as
    long as the run says the same.
    """
    found = NO_ROOM.search(last_error)
    if found is None:
        return None
    remedy = f"set at most {found['fitting']}" if found["fitting"] else "set a smaller number"
    return UserError(
        PodReason.INVALID_RECIPE,
        f"spec.recipe.vllm_max_model_length: {found['tokens']} tokens need a KV cache of {found['needed']}, generators "
        f"have {found['available']} for it; {remedy}, or raise spec.recipe.vllm_gpu_memory_utilization (on CPU, "
        f"VLLM_CPU_KVCACHE_SPACE in spec.generators.env).",
    )


def _told(error: ValueError) -> str:
    """The message; of the many that pydantic may have gathered, the first, without pydantic's additions."""
    if not isinstance(error, ValidationError):
        return str(error)
    if inner := _inner(error):
        return str(inner)
    first = _first(error)
    return ": ".join([*map(str, first["loc"]), first["msg"]])


def _first(error: ValidationError) -> ErrorDetails:
    return error.errors(include_url=False, include_input=False)[0]


def _inner(error: BaseException) -> Exception | None:
    """What a validator raised."""
    if not isinstance(error, ValidationError):
        return None
    inner = _first(error).get("ctx", {}).get("error")
    return inner if isinstance(inner, Exception) else None


def _causes(error: BaseException) -> Iterator[BaseException]:
    following: BaseException | None = error
    while following:
        yield following
        following = _inner(following) or following.__cause__ or following.__context__


def _value(arguments: Sequence[str], flag: str) -> str:
    """As vLLM took it: the last one wins."""
    values = [value for name, _, value in (argument.partition("=") for argument in arguments) if name == flag]
    return values[-1] if values else "its default"
