"""The contract's attention implementations and arguments of checkpointing, against transformers and torch themselves."""

import inspect
from typing import Any

import pytest
import torch
from torch.utils.checkpoint import checkpoint
from transformers import Qwen2Config, Qwen2ForCausalLM
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from grpo_contract.recipe.activation_checkpointing import ARGUMENTS
from grpo_contract.recipe.attention import IMPLEMENTATIONS
from unit.test_attention import ATTENTION_REFUSED, CHECKPOINTING_REFUSED, CHECKPOINTING_TAKEN

TINY = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "vocab_size": 8}


def trained(arguments: dict[str, Any]) -> None:
    model = Qwen2ForCausalLM(Qwen2Config(**TINY, num_key_value_heads=1)).train()
    model.gradient_checkpointing_enable(arguments)
    tokens = torch.tensor([[1, 2, 3]])
    model(input_ids=tokens, labels=tokens).loss.backward()


def test_the_names_are_transformers_own() -> None:
    assert set(IMPLEMENTATIONS) == {"eager", *ALL_ATTENTION_FUNCTIONS.valid_keys()}


@pytest.mark.parametrize(("name", "_"), ATTENTION_REFUSED)
def test_what_is_refused_transformers_refuses(name: str, _: str) -> None:
    with pytest.raises(ValueError, match="attn_implementation"):
        Qwen2ForCausalLM._from_config(Qwen2Config(**TINY, num_key_value_heads=1), attn_implementation=name)


def test_the_arguments_are_those_of_checkpoint() -> None:
    named = {
        name
        for name, parameter in inspect.signature(checkpoint).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    assert set(ARGUMENTS) == named - {"context_fn"} | {"preserve_rng_state"}  # which it takes out of its **kwargs


@pytest.mark.parametrize(("arguments", "_"), CHECKPOINTING_REFUSED)
def test_what_is_refused_torch_refuses(arguments: dict[str, Any], _: str) -> None:
    """Without use_reentrant it hands everything on to layers, of which some lose what they do not know."""
    with pytest.raises(ValueError, match="Unexpected keyword arguments"):
        trained(arguments | {"use_reentrant": True})


@pytest.mark.parametrize("arguments", CHECKPOINTING_TAKEN)
def test_what_is_taken_torch_takes(arguments: dict[str, Any]) -> None:
    trained(arguments)
