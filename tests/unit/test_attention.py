"""attn_implementation and gradient_checkpointing_kwargs that transformers and torch refuse, and neighbours that they take."""

from typing import Any

import pytest

from grpo_contract.recipe.activation_checkpointing import checkpointing_mistake
from grpo_contract.recipe.attention import attention_mistake

ATTENTION_REFUSED = [
    ("flash_attn", "did you mean flash_attention_2?"),
    ("flash_attention2", "did you mean flash_attention_2?"),
    ("flash_attention3", "did you mean flash_attention_3?"),
    ("SDPA", "set it to sdpa, or leave it out."),
    ("sdp", "did you mean sdpa?"),
    ("xformers", "set it to sdpa, or leave it out."),
]
ATTENTION_TAKEN = ["sdpa", "eager", "flex_attention", "flash_attention_2", "kernels-community/flash-attn2", None]

CHECKPOINTING_REFUSED: list[tuple[dict[str, Any], str]] = [
    (
        {"use_reentrantt": False},
        "holds use_reentrantt, which PyTorch does not take; did you mean use_reentrant? Else leave it out.",
    ),
    (
        {"use_reentrant": False, "offload": True},
        "holds offload, which PyTorch does not take; use use_reentrant, preserve_rng_state, determinism_check, debug, "
        "early_stop, or leave it out.",
    ),
]
CHECKPOINTING_TAKEN: list[dict[str, Any]] = [
    {},
    {"use_reentrant": False},
    {"use_reentrant": True, "preserve_rng_state": False},
    {"use_reentrant": False, "determinism_check": "none", "debug": False, "early_stop": False},
]


@pytest.mark.parametrize(("name", "remedy"), ATTENTION_REFUSED)
def test_an_attention_that_transformers_does_not_know(name: str, remedy: str) -> None:
    assert attention_mistake({"attn_implementation": name}) == (
        f"spec.recipe.attn_implementation is '{name}', which transformers does not know; {remedy}"
    )


@pytest.mark.parametrize("name", ATTENTION_TAKEN)
def test_an_attention_that_it_knows(name: str | None) -> None:
    assert attention_mistake({"attn_implementation": name}) is None


def test_code_of_a_model_may_bring_attention_along() -> None:
    assert attention_mistake({"attn_implementation": "own", "trust_remote_code": True}) is None


@pytest.mark.parametrize(("arguments", "sentence"), CHECKPOINTING_REFUSED)
def test_checkpointing_that_torch_refuses(arguments: dict[str, Any], sentence: str) -> None:
    recipe = {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": arguments}
    assert checkpointing_mistake(recipe) == f"spec.recipe.gradient_checkpointing_kwargs {sentence}"


@pytest.mark.parametrize("arguments", CHECKPOINTING_TAKEN)
def test_checkpointing_that_it_takes(arguments: dict[str, Any]) -> None:
    assert checkpointing_mistake({"gradient_checkpointing": True, "gradient_checkpointing_kwargs": arguments}) is None


def test_checkpointing_that_is_off() -> None:
    recipe = {"gradient_checkpointing": False, "gradient_checkpointing_kwargs": {"use_reentrantt": False}}
    assert checkpointing_mistake(recipe) is None
