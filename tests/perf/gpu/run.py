"""The run that is measured, and our learner of it: production code, put together as training.py does.

Left out are the checkpoint to resume from and the model that is saved at the end.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch

from grpo_contract.config import Device, RunConfig
from grpo_trainer.building import build_learner, owned_by_operator, start_rewards
from grpo_trainer.inputs.loading import load_data
from grpo_trainer.inputs.tokenizer import load_tokenizer
from grpo_trainer.instruments.metrics import LearnerMetrics
from grpo_trainer.instruments.progress import ProgressBoard
from grpo_trainer.learner import Learner
from grpo_trainer.recipe import parse_recipe
from grpo_trainer.storage.resuming import find_checkpoint
from perf.gpu.sizes import Batch
from trainer.learner_inputs import learner_config, write_rows

GENERATORS: Final = "127.0.0.2"
REWARD: Final = "perf.gpu.answers:even_share"
LEARNING_RATE: Final = 1e-6
PROMPT_CHARACTERS: Final = 128
NEVER: Final = 1_000_000
"""More steps than any measurement has: nothing is saved on the way."""


def device() -> Device:
    return "cuda" if torch.cuda.is_available() else "cpu"


def run_config(model: Path, folder: Path, batch: Batch, steps: int, max_staleness: int = 0) -> RunConfig:
    recipe: dict[str, Any] = {
        "reward_funcs": [REWARD],
        "num_generations": batch.generations,
        "per_device_train_batch_size": batch.at_once,
        "gradient_accumulation_steps": batch.passes,
        "max_completion_length": batch.tokens,
        "max_steps": steps,
        "learning_rate": LEARNING_RATE,
        "lr_scheduler_type": "constant",
        "beta": 0.0,
        # Completions are random: the product over all of their tokens would leave nothing to learn from.
        "vllm_importance_sampling_mode": "token_truncate",
    }
    config = learner_config(
        model, write_prompts(folder / "train.jsonl", batch.prompts), processes=1, every_steps=NEVER, **recipe
    )
    rewards = config.rewards.model_copy(update={"per_group": (REWARD,)})
    learners = config.learners.model_copy(update={"device": device()})
    generators = config.generators.model_copy(update={"service": GENERATORS, "max_staleness": max_staleness})
    return config.model_copy(update={"learners": learners, "generators": generators, "rewards": rewards})


def write_prompts(file: Path, num_prompts: int) -> Path:
    """All of one length, so that nothing is padded."""
    return write_rows(file, [{"problem": f"{number:>{PROMPT_CHARACTERS}}"} for number in range(4 * num_prompts)])


@contextmanager
def learner_of(config: RunConfig, folder: Path, metrics: LearnerMetrics) -> Iterator[Learner]:
    """In a process group. Its checkpoints, of which there are none, would lie in `folder`."""
    recipe = parse_recipe(
        config.recipe, owned_by_operator(config) | {"output_dir": str(folder / "run" / "checkpoints")}
    )
    find_checkpoint(Path(recipe.training.output_dir))
    with start_rewards(config, recipe) as rewards:
        tokenizer = load_tokenizer(recipe)
        data = load_data(recipe, rewards.required_columns(), as_messages=True)
        yield build_learner(config, recipe, tokenizer, data, rewards, None, (), metrics, ProgressBoard(1))
