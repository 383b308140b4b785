"""A LoRA model's weights as vLLM knows them: each adapted one with its adapter's change, the base as it was or, where it is
quantised, as its layers compute with it.

peft's own merge writes into the base and takes the change away again, which leaves rounding behind at every sync; and
under ZeRO-3 TRL gathers the whole model for it. Here one weight is gathered at a time, and the sum is a tensor of its own.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final

import torch
from peft.tuners.lora import LoraLayer

PREFIX: Final = "base_model.model."
"""What peft puts before the names of the model that it wraps."""

Gather = Callable[[Sequence[torch.nn.Parameter]], AbstractContextManager[None]]


def merged_parameters(model: Any, gather: Gather) -> Iterator[tuple[str, torch.Tensor]]:
    """Names and tensors of the model without an adapter. A collective: every rank goes through all of them.

    A tensor is valid until the next one is asked for. Adapters of other layers than linear ones have been refused.
    """
    layers = [module for module in model.modules() if isinstance(module, LoraLayer)]
    adapted = {id(layer.get_base_layer().weight): layer for layer in layers}
    of_adapter = {id(parameter) for layer in layers for parameter in adapter_parameters(layer)}
    for name, parameter in model.named_parameters():
        if id(parameter) in of_adapter:
            continue
        layer = adapted.get(id(parameter))
        with gather([parameter, *([] if layer is None else adapter_parameters(layer))]), torch.no_grad():
            weight = dequantised(parameter)
            yield base_name(name), weight if layer is None else merged(weight, layer)


def adapter_parameters(layer: LoraLayer) -> list[torch.nn.Parameter]:
    return [*layer.lora_A.parameters(), *layer.lora_B.parameters()]


def dequantised(parameter: torch.nn.Parameter) -> torch.Tensor:
    """What the layer computes with."""
    quantisation = getattr(parameter, "quant_state", None)
    if quantisation is None:
        return parameter.data
    from bitsandbytes.functional import dequantize_4bit  # only runs that quantise have it

    weight: torch.Tensor = dequantize_4bit(parameter.data, quantisation)
    return weight


def merged(weight: torch.Tensor, layer: LoraLayer) -> torch.Tensor:
    change: torch.Tensor = sum(layer.get_delta_weight(adapter) for adapter in layer.active_adapters)
    return weight + change.to(weight.dtype)


def base_name(name: str) -> str:
    return name.removeprefix(PREFIX).replace(".base_layer.", ".")
