"""`python -m perf.lora_rounding`, in the trainer's environment: what peft's merge and unmerge leave in a base model.

TRL merges an adapter into the base for each weight update and takes it out again; learners here do not. One projection,
whose adapter moves before every update as in training. The same figures each time on one machine. It judges nothing.
"""

from typing import Final

import torch
from peft import LoraConfig, get_peft_model

UPDATES: Final = (1, 100, 1000)
DTYPES: Final = {"float32": torch.float32, "bf16": torch.bfloat16}
SIZE: Final = 64
WEIGHT_STD: Final = 0.02
"""As models are made; 0.016 is the mean of such weights' absolute values."""
MOVE_STD: Final = 0.001
"""Of each number of the adapter's B, per update: of the size of a learning rate, as Adam moves."""


def main() -> None:
    figures = {name: rounding(dtype) for name, dtype in DTYPES.items()}
    print(f"{'updates':<10}" + "".join(f"{name:>12}" for name in figures))
    for number in UPDATES:
        print(f"{number:<10}" + "".join(f"{changes[number]:>12.1e}" for changes in figures.values()))
    print(f"largest change of a weight, and weights are {mean_weight():.3f} on average")


def rounding(dtype: torch.dtype) -> dict[int, float]:
    """{updates: the largest change of a weight of the base}"""
    model = get_peft_model(projection().to(dtype), LoraConfig(r=4, lora_alpha=8, target_modules=["0"]))
    layer = model.base_model.model[0]
    before = layer.base_layer.weight.detach().clone()
    changes, draws = {}, torch.Generator().manual_seed(1)
    for number in range(1, UPDATES[-1] + 1):
        move(layer.lora_B["default"].weight, draws)
        model.merge_adapter()
        model.unmerge_adapter()
        if number in UPDATES:
            changes[number] = (layer.base_layer.weight - before).abs().max().item()
    return changes


def move(weight: torch.nn.Parameter, draws: torch.Generator) -> None:
    with torch.no_grad():
        weight += (torch.randn(weight.shape, generator=draws) * MOVE_STD).to(weight.dtype)


def projection() -> torch.nn.Sequential:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(SIZE, SIZE, bias=False))
    torch.nn.init.normal_(model[0].weight, std=WEIGHT_STD)
    return model


def mean_weight() -> float:
    mean: float = projection()[0].weight.abs().mean().item()
    return mean


if __name__ == "__main__":
    main()
