"""A rank of TRL as its users run it under DeepSpeed ZeRO-3, which leaves checkpoints on the volume.

    python -m trainer.ranks 2 stock_trl_zero3.py CONFIG

Of the product, only what makes DeepSpeed work on CPU is used. What TRL's vLLM would answer is scripted.
"""

import json
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from trl import GRPOConfig, GRPOTrainer
from trl.trainer import grpo_trainer

from grpo_contract.config import Deadlines
from grpo_trainer.device import process_group, training_arguments
from trainer.parity_inputs import digits
from trainer.parity_trl import prompts_of
from trainer.scripted_learner import ScriptedGeneration

OUTPUT = "/volume/elsewhere"
ZERO3 = {
    "zero_optimization": {"stage": 3},
    "train_batch_size": "auto",
    "train_micro_batch_size_per_gpu": "auto",
    "gradient_accumulation_steps": "auto",
    "gradient_clipping": "auto",
    "zero_allow_untested_optimizer": True,
}


def main() -> None:
    torch.set_num_threads(1)
    recipe = json.loads(Path(sys.argv[1]).read_text())["recipe"]
    grpo_trainer.VLLMGeneration = lambda *_, **keys: ScriptedGeneration(None, **keys)
    with process_group("cpu", Deadlines()):
        GRPOTrainer(
            model=recipe["model_name_or_path"],
            reward_funcs=digits,
            args=config_of(recipe),
            train_dataset=prompts_of(recipe["dataset_name"]),
        ).train()


def config_of(recipe: dict[str, Any]) -> GRPOConfig:
    known = {field.name for field in fields(GRPOConfig)}
    said = {key: value for key, value in recipe.items() if key in known}
    stock: dict[str, Any] = {
        "output_dir": OUTPUT,
        "use_vllm": True,
        "deepspeed": ZERO3,
        "report_to": "none",
        "save_steps": 2,
        "logging_steps": 10,
    }
    return GRPOConfig(**said | stock | training_arguments("cpu"))


if __name__ == "__main__":
    main()
