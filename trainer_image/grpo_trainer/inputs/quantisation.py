"""A base whose linear layers are held in 4 bit while an adapter of it is trained (QLoRA, Dettmers et al. 2023, arXiv:2305.14314)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import torch
from transformers import BitsAndBytesConfig
from transformers.pytorch_utils import Conv1D

from grpo_contract.failure import PodReason, UserError
from grpo_trainer.causes import modules_of
from grpo_trainer.light_trl import GRPOConfig, ModelConfig

STORAGE: Final = "uint8"
"""Whatever the recipe says. ZeRO-3 splits bytes as well as other numbers, and DeepSpeed would convert those to what it computes
in: four quantised weights in the bits of a float32, made a bfloat16, are lost."""


def quantisation_of(model: ModelConfig, training: GRPOConfig) -> BitsAndBytesConfig | None:
    """None: the model is loaded as it is. Dequantised weights are numbers of what the run computes in, as those of generators."""
    if not model.load_in_4bit:
        return None
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=model.bnb_4bit_quant_type,
        bnb_4bit_use_double_quant=model.use_bnb_nested_quant,
        bnb_4bit_compute_dtype=computed_in(training),
        bnb_4bit_quant_storage=STORAGE,
    )


def computed_in(training: GRPOConfig) -> str:
    """The name that torch has for it."""
    if training.bf16:
        return "bfloat16"
    return "float16" if training.fp16 else "float32"


@contextmanager
def quantised_named(name: str) -> Iterator[None]:
    """Around what loads the recipe's model `name`.

    Raises:
        UserError: instead of transformers' asking for the package that it was quantised with.
    """
    try:
        yield
    except ImportError as error:
        if not modules_of(error)[-1].startswith("transformers.quantizers."):
            raise
        raise quantised_already(name) from error


def quantised_already(name: str) -> UserError:
    return UserError(
        PodReason.INVALID_RECIPE,
        f"spec.recipe.model_name_or_path: '{name}' is quantised already, and generators take whole weights; name the model "
        "that it was made from, which load_in_4bit quantises.",
    )


def suit_run(model: Any, name: str, numbers: str) -> None:
    """`model` is the recipe's model `name`, in 4 bit and with its adapter.

    Raises:
        UserError: it was quantised before, or has layers whose weights bitsandbytes turns around.
    """
    from bitsandbytes.nn import Linear4bit  # only runs that quantise have it

    layers = [module for module in model.modules() if isinstance(module, Linear4bit)]
    if model.get_base_model().hf_quantizer.pre_quantized:
        raise quantised_already(name)
    if any(layer.source_cls is Conv1D for layer in layers):
        raise UserError(
            PodReason.INVALID_RECIPE,
            f"spec.recipe.load_in_4bit is true, but '{name}' is a model of GPT-2's kind, whose weights in 4 bit are not those that "
            "generators take; leave it out, or choose another model.",
        )
    for layer in layers:
        compute_as_in_training(layer)
    for parameter in model.parameters():
        if parameter.requires_grad:  # TRL makes bfloat16 of an adapter, whatever the run computes in
            parameter.data = parameter.data.to(getattr(torch, numbers))


def compute_as_in_training(layer: Any) -> None:
    """On CPUs that multiply bfloat16, bitsandbytes would put the weights into another order at the first evaluation, and
    compute in bfloat16 from then on. ZeRO-3 brings them back in the old one."""
    layer.support_avx512bf16_for_cpu = False
