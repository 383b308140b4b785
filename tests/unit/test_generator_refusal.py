"""Which refusals of vLLM are the user's mistake, and what is said about them."""

import argparse
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from grpo_contract.failure import INVALID_RECIPE
from grpo_generator.refusal import users_mistake

ARGUMENTS = [
    "--model=/volume/base",
    "--max-model-len=4096",
    "--max-model-len=100000",
    "--tensor-parallel-size=3",
    "--dtype=bad",
]


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
            "spec.recipe.dtype: vLLM refuses bad, argument --dtype: invalid choice: 'bad' (choose from 'auto'); "
            "set it to bfloat16, float16 or float32.",
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
        (
            ValueError("No field of ours. But reasons.\nAnd more."),
            "spec.recipe: vLLM refuses what it makes of it, No field of ours. But reasons.",
        ),
        (
            validated(Field(ge=1), 0),
            "spec.recipe: vLLM refuses what it makes of it, Input should be greater than or equal to 1.",
        ),
    ],
)
def test_a_refusal(error: ValueError, message: str) -> None:
    mistake = users_mistake(error, ARGUMENTS)
    assert mistake is not None
    assert (mistake.failure.reason, mistake.failure.message) == (INVALID_RECIPE, message)


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
