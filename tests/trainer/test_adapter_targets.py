"""What the contract says of lora_target_modules, against peft and a model of Llama's kind."""

from typing import Any

import pytest
from peft import get_peft_model
from peft.tuners.lora import Linear
from transformers import Qwen2Config, Qwen2ForCausalLM

from grpo_contract.adapter_targets import NEVER
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


@pytest.mark.parametrize("modules", [modules for modules, _ in REFUSED], ids=lambda modules: str(modules)[:20])
def test_what_is_refused_peft_refuses_or_does_what_cannot_be(modules: Any) -> None:
    try:
        found = adapted(modules)
    except Exception:  # some of it is no error of peft's own
        return
    assert found & NEVER.keys()


@pytest.mark.parametrize("modules", ACCEPTED, ids=str)
def test_what_is_accepted_suits_a_model(modules: Any) -> None:
    assert adapted(modules) - NEVER.keys()
