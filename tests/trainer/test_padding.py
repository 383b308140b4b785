"""The share of padding in what learners compute, of all generations of a step and all ranks."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
from accelerate.state import AcceleratorState
from transformers import AutoTokenizer
from trl import GRPOConfig

from grpo_trainer.fleet import generation
from grpo_trainer.instruments.padding import Padding
from grpo_trainer.learner import Learner
from grpo_trainer.rewards.watch import RewardWatch
from trainer.played_generation import PlayedGeneration, in_trl_form

LENGTHS = (1, 3, 1, 7)
"""Of the completions of a generation, the last one cut off."""


class UnevenGenerators(PlayedGeneration):
    """FleetGeneration's face towards TRL."""

    def __init__(self, settings: Any, *, processing_class: Any, **_: Any) -> None:
        super().__init__()
        self.end = processing_class.eos_token_id

    def generate(self, prompts: list[list[int]], images: Any, num_generations: int, profiler: Any = None) -> Any:
        completions = [[*[40] * (length - 1), self.end] for length in LENGTHS[:-1]] + [[40] * LENGTHS[-1]]
        return in_trl_form(prompts, completions)


def batch(prompts: list[list[int]], completions: list[list[int]]) -> dict[str, torch.Tensor]:
    return {"prompt_mask": torch.tensor(prompts), "completion_mask": torch.tensor(completions)}


def test_of_all_generations_and_ranks() -> None:
    padding = Padding()
    padding.see(batch([[0, 1], [1, 1]], [[1, 0, 0], [1, 1, 1]]), lambda own: own)
    padding.see(batch([[1]], [[1]]), lambda own: own + torch.tensor([8, 3]))
    assert padding.take_ratio() == (3 + 3) / (10 + 2 + 8)
    assert padding.take_ratio() is None


@pytest.fixture
def model(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(generation, "FleetGeneration", UnevenGenerators)
    yield tiny_model
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.mark.parametrize("is_cut_off_left_out", [False, True])
def test_a_learner_counts_what_trl_computes(model: Path, tmp_path: Path, is_cut_off_left_out: bool) -> None:
    tokenizer = AutoTokenizer.from_pretrained(model)
    prompt = "1 + 1?"
    learner = Learner(
        rewards={"place": lambda completions, **_: [float(place) for place in range(len(completions))]},
        watch=RewardWatch(max_error_share=0),
        model=str(model),
        args=GRPOConfig(
            output_dir=str(tmp_path), use_cpu=True, bf16=False, report_to=[], num_generations=2,
            per_device_train_batch_size=4, mask_truncated_completions=is_cut_off_left_out,
        ),
        train_dataset=datasets.Dataset.from_list([{"prompt": prompt}] * 4),
        processing_class=tokenizer,
        fleet=None,
    )  # fmt: skip
    rows = [{"prompt": prompt} for _ in LENGTHS]
    learner.model.eval()
    learner._generate_and_score_completions(rows)
    assert learner.padding.take_ratio() is None, "an evaluation is no learning"
    learner.model.train()
    learner._generate_and_score_completions(rows)
    width = len(tokenizer(prompt).input_ids) + max(LENGTHS)
    counting = LENGTHS[:-1] if is_cut_off_left_out else LENGTHS
    padding = 4 * max(LENGTHS) - sum(counting)
    assert learner.padding.take_ratio() == padding / (4 * width)
