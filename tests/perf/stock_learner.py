"""A rank of TRL as it is, which writes its completions itself (transformers' generate) under DeepSpeed ZeRO-3.

    python -m trainer.ranks 2 stock_learner.py CONFIG

Of the product it uses the reward functions, what makes DeepSpeed work on CPU, and the way of splitting the model. It logs each
step as a learner does, and leaves STATE on the volume.
"""

import json
import logging
import sys
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from trl import GRPOTrainer

from grpo_contract.config import Deadlines
from grpo_trainer.device import process_group
from grpo_trainer.instruments.logs import set_up_logging
from grpo_trainer.rewards.arguments import RewardArguments
from grpo_trainer.rewards.registry import load
from perf.stock_config import stock_config
from trainer.parity_trl import prompts_of

OUTPUT = "/volume"


class StepLine(TrainerCallback):  # type: ignore[misc]
    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: Any, **_: Any
    ) -> None:
        if "reward" in logs:
            logging.info("step %d/%d  reward %.3g", state.global_step, state.max_steps, logs["reward"])


def main() -> None:
    set_up_logging()
    recipe = json.loads(Path(sys.argv[1]).read_text())["recipe"]
    names: list[str] = recipe["reward_funcs"]
    with process_group("cpu", Deadlines()):
        trainer = GRPOTrainer(
            model=recipe["model_name_or_path"],
            reward_funcs=[load(name, RewardArguments()) for name in names],
            args=stock_config(recipe, OUTPUT, "cpu", use_vllm=False),
            train_dataset=prompts_of(recipe["dataset_name"]),
            callbacks=[StepLine()],
        )
        trainer.reward_func_names = names
        trainer.train()
        if trainer.is_world_process_zero():
            trainer.state.save_to_json(f"{OUTPUT}/trainer_state.json")


if __name__ == "__main__":
    main()
