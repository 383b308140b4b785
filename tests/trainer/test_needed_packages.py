"""The table of packages, which `kubectl grpo check` reads, against transformers itself and the images' locks."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, Qwen2Config
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.trainer_optimizer import _OPTIMIZER_HANDLERS, OptimizerContext
from transformers.training_args import OptimizerNames

from grpo_contract.recipe.needed_packages import ATTENTION, OPTIMIZER, TABLE
from harness.layout import ROOT

OPTIMIZERS = [name.value for name in OptimizerNames]
NEEDED_BY = {
    key: {needed.value: needed.distribution for needed in TABLE if needed.key == key} for key in (OPTIMIZER, ATTENTION)
}
ATTENTIONS = [name for name in ALL_ATTENTION_FUNCTIONS.valid_keys() if "paged" not in name]
"""Paged ones are those of transformers' own generation."""
SMALL = Qwen2Config(
    vocab_size=8, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1, num_key_value_heads=1
)


def refusal_of(optim: str) -> str | None:
    arguments: Any = SimpleNamespace(
        optim=optim, optim_target_modules="all-linear", parallel_mode=None, gradient_accumulation_steps=1,
        weight_decay=0.0, adam_beta1=0.9, adam_beta2=0.999, adam_epsilon=1e-8,
    )  # fmt: skip
    adam = {"betas": (0.9, 0.999), "eps": 1e-8}
    model: Any = torch.nn.Sequential(torch.nn.Linear(2, 2))
    try:
        _OPTIMIZER_HANDLERS[optim](OptimizerContext(arguments, model, {"lr": 1e-6}, adam, {}))
    except (ImportError, ValueError) as error:
        return str(error)
    return None


@pytest.mark.parametrize("optim", OPTIMIZERS)
def test_transformers_refuses_the_optimizers_of_the_table_and_no_other(optim: str) -> None:
    assert (refusal_of(optim) is not None) is (optim in NEEDED_BY["optim"])


@pytest.mark.parametrize("optim", NEEDED_BY["optim"])
def test_its_words_name_the_package(optim: str) -> None:
    package = NEEDED_BY["optim"][optim]
    assert package.replace("-", "_") in (refusal_of(optim) or "").replace("-", "_")


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_transformers_refuses_the_attention_of_the_table_and_no_other(attention: str) -> None:
    if attention not in NEEDED_BY[ATTENTION]:
        model = AutoModelForCausalLM.from_config(SMALL, attn_implementation=attention)
        assert model.config._attn_implementation == attention
        return
    name = attention.replace("flash_attention_", "FlashAttention")
    with pytest.raises(ImportError, match=f"the package for {name} doesn't seem to be installed"):
        AutoModelForCausalLM.from_config(SMALL, attn_implementation=attention)


@pytest.mark.parametrize("lock", ["requirements-cpu.txt", "requirements-gpu.txt"])
def test_the_images_hold_none_of_them(lock: str) -> None:
    pinned = {
        line.partition("==")[0] for line in (ROOT / "trainer_image" / lock).read_text().splitlines() if "==" in line
    }
    assert "deepspeed" in pinned
    assert {distribution for needed in TABLE for distribution in needed.any_of} & pinned == set()
