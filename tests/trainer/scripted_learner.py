"""A rank of a learner whose completions come from a script instead of generators; all else is the production code.

    python -m trainer.ranks 2 scripted_learner.py CONFIG {zero3|ddp} OUT

Writes OUT/rank<R>.json: how many elements of the parameters and of the optimizer's state this rank holds, and
OUT/progress.json: what learner 0 said last. Completions
depend on the prompt and on their place in the group alone: runs which differ elsewhere learn from the same ones.
"""

import json
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState

from grpo_contract.config import Deadlines
from grpo_contract.pod import read_config
from grpo_trainer import building, device, training
from grpo_trainer.fleet import generation
from grpo_trainer.instruments.logs import set_up_logging
from grpo_trainer.instruments.metrics import LearnerMetrics
from grpo_trainer.instruments.progress import ProgressBoard
from grpo_trainer.learner import Learner
from grpo_trainer.reports.partition import held_and_whole
from trainer.played_generation import PlayedGeneration, in_trl_form

PARTS = ["<think>\n", "\n</think>\n", "<answer>\n", "\n</answer>", "\\boxed{5}", "\\boxed{7}", "6 + 1", " = "]


class ScriptedGeneration(PlayedGeneration):
    """FleetGeneration's face towards TRL."""

    def __init__(self, settings: Any, *, processing_class: Any, **_: Any) -> None:
        super().__init__()
        self.tokenizer = processing_class

    def generate(self, prompts: list[list[int]], images: Any, num_generations: int, profiler: Any = None) -> Any:
        completions = [self.write(prompt, number % num_generations) for number, prompt in enumerate(prompts)]
        return in_trl_form(prompts, completions)

    def write(self, prompt: list[int], number: int) -> list[int]:
        script = random.Random(f"{prompt} {number}")
        text = "".join(script.choices(PARTS, k=script.randint(2, 6)))
        return [*self.tokenizer(text)["input_ids"], self.tokenizer.eos_token_id]


class ExaminedLearner(Learner):
    def train(self, *args: Any, **kwargs: Any) -> Any:
        result = super().train(*args, **kwargs)
        states = [state for states in self.optimizer.optimizer.state.values() for state in states.values()]
        parameters, _ = held_and_whole(self.model.parameters())
        held = {
            "parameters": parameters,
            "optimizer": sum(state.numel() for state in states if torch.is_tensor(state) and state.dim() > 0),
        }
        (Path(sys.argv[3]) / f"rank{self.args.process_index}.json").write_text(json.dumps(held))
        return result


def use_plain_ddp() -> None:
    """TRL as anybody would run it on two processes without DeepSpeed."""
    replace(
        device,
        training_arguments=lambda device: {"use_cpu": True, "bf16": False, "ddp_backend": "gloo"},
    )
    replace(building, zero3_config=lambda device: None)


@contextmanager
def plain_process_group() -> Iterator[None]:
    ranks = PartialState(cpu=True)
    yield
    ranks.destroy_process_group()


def replace(module: Any, **by_name: Any) -> None:
    for name, value in by_name.items():
        setattr(module, name, value)


def main() -> None:
    set_up_logging()
    replace(generation, FleetGeneration=ScriptedGeneration)
    replace(building, Learner=ExaminedLearner)
    is_zero3 = sys.argv[2] == "zero3"
    if not is_zero3:
        use_plain_ddp()
    torch.set_num_threads(1)
    config = read_config(Path(sys.argv[1]))
    with device.process_group("cpu", Deadlines()) if is_zero3 else plain_process_group():
        board = ProgressBoard(1)
        training.train(config, LearnerMetrics(None), board)
        if PartialState().is_main_process:
            (Path(sys.argv[3]) / "progress.json").write_text(board.read().to_json())


if __name__ == "__main__":
    main()
