"""TRL's side of test_parity.py: its GRPOTrainer as a user of TRL builds it from the same recipe, for each case.

parity_trl.py CONFIG SCRIPT OUT

Nothing of the product is imported. What TRL's vLLM would answer is scripted; that apart, TRL is as it is.
"""

import json
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, load_dataset
from trl import GRPOConfig, GRPOTrainer
from trl.trainer import grpo_trainer

from trainer.parity_inputs import CASES, STATE, digits, hits, scripted


def main() -> None:
    torch.set_num_threads(1)
    recipe = json.loads(Path(sys.argv[1]).read_text())["recipe"]
    grpo_trainer.VLLMGeneration = scripted(Path(sys.argv[2]))
    out = Path(sys.argv[3])
    for name, keys in CASES.items():
        trainer = GRPOTrainer(
            model=recipe["model_name_or_path"],
            reward_funcs=[digits, hits],
            args=config_of(recipe | keys, out / name),
            train_dataset=prompts_of(recipe["dataset_name"]),
        )
        trainer.train()
        trainer.state.save_to_json(str(out / name / STATE))


def config_of(recipe: dict[str, Any], folder: Path) -> GRPOConfig:
    """What the recipe says, and what a machine without a GPU demands; nothing is saved on the way."""
    known = {field.name for field in fields(GRPOConfig)}
    said = {key: value for key, value in recipe.items() if key in known}
    return GRPOConfig(
        output_dir=str(folder), use_vllm=True, use_cpu=True, bf16=False, save_strategy="no", report_to="none", **said
    )


def prompts_of(file: str) -> Dataset:
    rows = load_dataset("json", data_files=file, split="train")
    return rows.map(lambda row: {"prompt": [{"role": "user", "content": row["problem"]}]})


if __name__ == "__main__":
    main()
