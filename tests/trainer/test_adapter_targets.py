"""What the contract says of lora_target_modules, against peft and a model of Llama's kind."""

import re
from typing import Any

import pytest
from peft import get_peft_model
from peft.tuners.lora import Linear
from peft.utils.error import NoMatchingPeftModuleError
from transformers import Qwen2Config, Qwen2ForCausalLM

from grpo_contract.recipe.adapter_targets import NEVER
from grpo_trainer.inputs.lora import adapter_of
from grpo_trainer.light_trl import ModelConfig
from unit.test_adapter_targets import ACCEPTED, REFUSED

CONFIG = Qwen2Config(
    vocab_size=8,
    hidden_size=8,
    intermediate_size=8,
    num_hidden_layers=1,
    num_attention_heads=1,
    num_key_value_heads=1,
    tie_word_embeddings=False,
)


def adapted(modules: Any) -> set[str]:
    """The names of the modules that get an adapter."""
    model = get_peft_model(
        Qwen2ForCausalLM(CONFIG), adapter_of(ModelConfig(use_peft=True, lora_target_modules=modules))
    )
    return {name.rpartition(".")[2] for name, module in model.named_modules() if isinstance(module, Linear)} | {
        name for name in NEVER if f"{name}.lora" in str(model.state_dict().keys())
    }


# (what is refused, the error that it would lead to or the module that would get an adapter)
WITHOUT_REFUSAL: list[tuple[Any, type[Exception] | str]] = [
    ("q_proj", NoMatchingPeftModuleError),
    (["q_proj"], NoMatchingPeftModuleError),
    ("q_proj,v_proj", NoMatchingPeftModuleError),
    ("(q_proj|v_proj)", NoMatchingPeftModuleError),
    ("", NoMatchingPeftModuleError),
    ("*_proj", re.error),
    ("(.*q_proj", re.error),
    ("a{4294967295}.", OverflowError),
    (["q_proj", "embed_tokens"], "embed_tokens"),
    (["model.embed_tokens"], "embed_tokens"),
    (["lm_head", "q_proj"], "lm_head"),
    ("lm_head", "lm_head"),
    ([], NoMatchingPeftModuleError),
    (5, TypeError),
    (True, TypeError),
    (["q_proj", 5], AttributeError),
    ({"q_proj": 8}, KeyError),
]


def test_each_refusal_is_held_against_peft() -> None:
    assert [modules for modules, _ in WITHOUT_REFUSAL] == [modules for modules, _ in REFUSED]


@pytest.mark.parametrize(("modules", "outcome"), WITHOUT_REFUSAL, ids=lambda value: str(value)[:20])
def test_what_is_refused_peft_refuses_or_does_what_cannot_be(modules: Any, outcome: type[Exception] | str) -> None:
    if isinstance(outcome, str):
        assert adapted(modules) & NEVER.keys() == {outcome}
        return
    with pytest.raises(outcome) as caught:
        adapted(modules)
    assert caught.type is outcome


@pytest.mark.parametrize("modules", ACCEPTED, ids=str)
def test_what_is_accepted_suits_a_model(modules: Any) -> None:
    assert adapted(modules) - NEVER.keys()
