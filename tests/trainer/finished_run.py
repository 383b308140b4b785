"""Runs of learner_inputs on a real generator, and what they leave: which prompts each step learnt from, and what it logged."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet
from trl.trainer.utils import RepeatSampler

from grpo_contract.config import RunConfig
from trainer.learner_inputs import NUM_PROBLEMS, write_own_reward
from trainer.run_with_generator import run_with_generator
from trainer.running_generator import RunningGenerator

PROMPTS, G = 4, 4
SEED = 1
RUN_S = 300


@dataclass
class Finished:
    volume: Path

    @property
    def folder(self) -> Path:
        (folder,) = (self.volume / "runs").iterdir()
        return folder

    def history(self, key: str) -> list[dict[str, Any]]:
        """What was logged together with that key."""
        history = json.loads((self.folder / "model" / "trainer_state.json").read_text())["log_history"]
        return [entry for entry in history if key in entry]

    def steps(self) -> list[dict[str, Any]]:
        return self.history("reward")

    def logged(self) -> dict[int, dict[str, list[Any]]]:
        """TRL's own tables of completions, of a recipe with log_completions, by step."""
        files = (self.folder / "checkpoints" / "completions").glob("*.parquet")
        tables = [parquet.read_table(file).to_pydict() for file in files]
        return {table["step"][0]: table for table in tables}

    def kept(self) -> dict[int, list[dict[str, Any]]]:
        """What is there for people to read, by step."""
        files = (self.folder / "completions").glob("*.parquet")
        tables = [parquet.read_table(file).to_pylist() for file in files]
        return {table[0]["step"]: table for table in tables}

    def prompts(self) -> dict[int, list[str]]:
        """By step, each once, in the order of the batch."""
        return {
            step: [prompt[-1]["content"] for prompt in table["prompt"][::G]] for step, table in self.logged().items()
        }


def run(generator: RunningGenerator, folder: Path, config: RunConfig) -> Finished:
    write_own_reward(folder)
    with run_with_generator(generator, folder, config) as pod:
        assert pod.wait(RUN_S) == 0, pod.tail()
        return Finished(pod.volume)


def batches_in_order(num_batches: int) -> list[list[str]]:
    """What TRL's sampler gives a run that never looks ahead."""
    sampler = RepeatSampler(range(NUM_PROBLEMS), G, batch_size=PROMPTS, repeat_count=1, shuffle=True, seed=SEED)
    places: list[int] = []
    while len(places) < num_batches * PROMPTS:
        places += list(sampler)[::G]
    return [
        [f"What is {place} + 1?" for place in places[start : start + PROMPTS]]
        for start in range(0, num_batches * PROMPTS, PROMPTS)
    ]
