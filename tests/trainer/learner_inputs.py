"""Configurations and data for tests of the learner."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from grpo_contract.config import CheckpointConfig, Deadlines, LearnerConfig, RunConfig
from trainer.running_generator import run_config


def write_rows(file: Path, rows: Sequence[dict[str, Any]]) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


OWN_REWARD = "my_rewards:letters"
REWARD = '''
def letters(completions, **columns):
    """The share of letters, which even a model that knows nothing has by chance."""
    texts = [completion[0]["content"] for completion in completions]
    return [sum(map(str.isalpha, text)) / max(1, len(text)) for text in texts]
'''


def write_own_reward(folder: Path) -> None:
    """OWN_REWARD, for a learner that may import what is in the folder."""
    (folder / "my_rewards.py").write_text(REWARD)


NUM_PROBLEMS = 12


def write_problems(file: Path, count: int = NUM_PROBLEMS) -> Path:
    return write_rows(file, [{"problem": f"What is {i} + 1?", "solution": f"${i + 1}$"} for i in range(count)])


def learner_config(
    model: Path,
    data: Path,
    *,
    processes: int = 2,
    pods: int = 1,
    host: str = "localhost",
    every_steps: int = 2,
    keep: int = 4,
    deadlines: Deadlines | None = None,
    **recipe: Any,
) -> RunConfig:
    """A run of 3 steps: 2 ranks x 8 completions, 4 prompts x 4 generations."""
    small: dict[str, Any] = {
        "model_name_or_path": str(model),
        "dataset_name": str(data),
        "dataset_prompt_column": "problem",
        "reward_funcs": ["accuracy", "format", "tag_count"],
        "num_generations": 4,
        "per_device_train_batch_size": 8,
        "max_completion_length": 32,
        "max_steps": 3,
        "learning_rate": 1.0e-3,
        "beta": 0.04,
        "gradient_checkpointing": False,
        "logging_steps": 1,
        "vllm_max_model_length": 128,
        "seed": 1,
    }
    learners = LearnerConfig(pods=pods, processes_per_pod=processes, device="cpu", rendezvous_host=host)
    return run_config({}).model_copy(
        update={
            "recipe": small | recipe,
            "learners": learners,
            "checkpoint": CheckpointConfig(every_steps=every_steps, keep=keep),
            "deadlines": deadlines or Deadlines(),
        }
    )
