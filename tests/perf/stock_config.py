"""The arguments of TRL's own trainer for a recipe of ours."""

from dataclasses import fields
from typing import Any

from trl import GRPOConfig

from grpo_contract.config import Device
from grpo_trainer.device import training_arguments
from grpo_trainer.zero3 import zero3_config


def stock_config(recipe: dict[str, Any], output: str, device: Device, *, use_vllm: bool) -> GRPOConfig:
    known = {field.name for field in fields(GRPOConfig)}
    said = {key: value for key, value in recipe.items() if key in known}
    stock: dict[str, Any] = {
        "output_dir": output,
        "deepspeed": zero3_config(device),
        "use_vllm": use_vllm,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }
    return GRPOConfig(**said | stock | training_arguments(device))
