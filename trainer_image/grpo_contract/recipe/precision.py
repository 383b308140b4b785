"""What a run computes in, as generators and learners agree on it."""

from collections.abc import Mapping
from typing import Any, Literal

from grpo_contract.config import Device

Precision = Literal["float32", "float16", "bfloat16"]


def precision_of(recipe: Mapping[str, Any], device: Device) -> Precision:
    """DeepSpeed's bf16 or fp16, and float32 with neither; the recipe's `dtype` is only what learners load the model in. On
    CPU it is float32, bfloat16 being slower there."""
    if device == "cpu":
        return "float32"
    if recipe.get("fp16"):
        return "float16"
    is_bf16 = recipe.get("bf16") in (None, True)  # TRL's default is true
    return "bfloat16" if is_bf16 else "float32"
