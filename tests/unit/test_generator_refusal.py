"""Which refusals of vLLM are the user's mistake, and what is said about them."""

import argparse
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from grpo_contract.failure import PodReason
from grpo_generator.refusal import no_room_for_cache, users_mistake

ARGUMENTS = [
    "--model=/volume/base",
    "--max-model-len=4096",
    "--max-model-len=100000",
    "--tensor-parallel-size=3",
    "--dtype=bad",
]
NO_ROOM = (
    "ValueError: To serve at least one request with the model's max seq len (32768), (3.5 GiB KV cache is needed, which "
    "is larger than the available KV cache memory (1.0 GiB). "
)


def caused(error: Exception, cause: BaseException) -> Exception:
    error.__cause__ = cause
    return error


def validated(check: Any, value: object) -> ValidationError:
    """As vLLM's configuration classes report what their validators raise."""
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Annotated[int, check]).validate_python(value)
    return caught.value


def raising(error: Exception) -> Callable[[int], int]:
    def fail(_: int) -> int:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            validated(AfterValidator(raising(ValueError("max_model_len (100000) is too much. Set an env var."))), 1),
            "spec.recipe.vllm_max_model_length: vLLM refuses 100000, max_model_len (100000) is too much; "
            "set a smaller number of tokens.",
        ),
        (
            ValueError("Total number of attention heads (2) must be divisible by tensor parallel size (3)."),
            "spec.generators.gpus: vLLM refuses 3, Total number of attention heads (2) must be divisible by tensor "
            "parallel size (3); choose a number that divides the attention heads of the model.",
        ),
        (
            caused(
                ValueError("argument --dtype: invalid choice: 'bad' (choose from 'auto')"),
                argparse.ArgumentError(None, "invalid choice"),
            ),
            "spec.recipe.bf16 and fp16: vLLM refuses bad, argument --dtype: invalid choice: 'bad' (choose from 'auto'); "
            "set one of them to true, or both to false for float32.",
        ),
        (
            ValueError("The repository contains custom code.\nPlease pass the argument `trust_remote_code=True`."),
            "spec.recipe.trust_remote_code: vLLM refuses its default, The repository contains custom code; "
            "set it to true if you trust the code in the model's folder.",
        ),
        (
            ValueError("Model architectures ['Foo'] are not supported for now. Supported architectures: ['A', 'B']"),
            "spec.recipe.model_name_or_path: vLLM refuses /volume/base, Model architectures ['Foo'] are not supported "
            "for now; name a model that vLLM can serve.",
        ),
    ],
)
def test_a_refusal(error: ValueError, message: str) -> None:
    mistake = users_mistake(error, ARGUMENTS)
    assert mistake is not None
    assert (mistake.failure.reason, mistake.failure.message) == (PodReason.INVALID_RECIPE, message)


@pytest.mark.parametrize(
    "error",
    [
        caused(ValueError("Invalid repository ID or local directory specified: '/volume/base'"), OSError(5, "EIO")),
        caused(ValueError("max_model_len cannot be derived"), RuntimeError("CUDA error: an illegal memory access")),
        caused(ValueError("dtype"), caused(KeyError("x"), MemoryError())),
        validated(AfterValidator(raising(caused(ValueError("max_model_len"), OSError(116, "ESTALE")))), 1),
        ValueError("World size (4) is larger than the number of available GPUs (2) in this node."),
    ],
)
def test_trouble_of_the_node_is_none(error: ValueError) -> None:
    assert users_mistake(error, ARGUMENTS) is None


@pytest.mark.parametrize(
    "error",
    [
        ValueError("unrecognized arguments: --no-such-argument"),  # of a podTemplate, perhaps
        validated(Field(ge=1), 0),
    ],
)
def test_what_no_field_of_a_run_explains_is_none(error: ValueError) -> None:
    assert users_mistake(error, ARGUMENTS) is None


def test_too_little_room_for_the_cache_names_both_ways_out() -> None:
    mistake = no_room_for_cache(NO_ROOM + "Based on the available memory, the estimated maximum model length is 9360. ")
    assert mistake is not None
    assert (mistake.failure.reason, mistake.failure.message) == (
        PodReason.INVALID_RECIPE,
        "spec.recipe.vllm_max_model_length: 32768 tokens need a KV cache of 3.5 GiB, generators have 1.0 GiB for it; "
        "set at most 9360, or raise spec.recipe.vllm_gpu_memory_utilization (on CPU, VLLM_CPU_KVCACHE_SPACE in "
        "spec.generators.env).",
    )


def test_too_little_room_without_an_estimate() -> None:
    mistake = no_room_for_cache(NO_ROOM)
    assert mistake is not None
    assert "; set a smaller number, or raise " in mistake.failure.message


@pytest.mark.parametrize("line", ["", "ValueError: No available memory for the cache blocks.", "KeyError: 'KV cache'"])
def test_other_last_words_are_no_refusal(line: str) -> None:
    assert no_room_for_cache(line) is None
