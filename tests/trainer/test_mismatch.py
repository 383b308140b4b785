"""Without TRL's importance-sampling correction, the learner measures itself what TRL measures with it."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
from accelerate.state import AcceleratorState
from transformers import AutoTokenizer
from trl import GRPOConfig

from grpo_trainer.fleet import generation
from grpo_trainer.instruments.mismatch import SamplerMismatch
from grpo_trainer.learner import Learner
from grpo_trainer.rewards.watch import RewardWatch
from trainer.played_generation import PlayedGeneration, in_trl_form

MEAN, MAX = "sampling/sampling_logp_difference/mean", "sampling/sampling_logp_difference/max"
RATIO = "sampling/importance_sampling_ratio/mean"
ROWS = [{"prompt": f"{number} + {number}?"} for number in range(8)]


def see(mismatch: SamplerMismatch, own: Sequence[float], sampled: Sequence[float], mask: Sequence[int]) -> None:
    mismatch.see(torch.tensor([own]), torch.tensor([sampled]), torch.tensor([mask]))


def test_mean_and_maximum_over_passes_and_ranks() -> None:
    mismatch = SamplerMismatch()
    see(mismatch, [-1.0, -2.0, -3.0], [-1.5, math.nan, -3.0], [1, 1, 1])
    see(mismatch, [-1.0, -9.0], [-1.25, 0.0], [1, 0])
    of_another_rank = torch.tensor([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
    assert mismatch.take(lambda own: torch.cat([own, of_another_rank])) == {MEAN: 1.75 / 4, MAX: 1.0}


def test_without_a_token_that_counts_there_is_no_number() -> None:
    mismatch = SamplerMismatch()
    see(mismatch, [-1.0, -2.0], [math.nan, -2.5], [1, 0])
    assert mismatch.take(lambda own: own) == {}


class UnsureGenerators(PlayedGeneration):
    """FleetGeneration's face towards TRL. Log-probabilities depend on the token; of one token there is none."""

    def __init__(self, settings: Any, *, processing_class: Any, **_: Any) -> None:
        super().__init__()
        self.end = processing_class.eos_token_id

    def generate(self, prompts: list[list[int]], images: Any, num_generations: int, profiler: Any = None) -> Any:
        completions = [[*range(40, 42 + number % 3), self.end] for number in range(len(prompts))]
        logprobs = [[None if token == 42 else -token / 10 for token in completion] for completion in completions]
        return in_trl_form(prompts, completions, logprobs)


@pytest.fixture(autouse=True)
def own_state(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(generation, "FleetGeneration", UnsureGenerators)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def steps(model: Path, folder: Path, **arguments: Any) -> list[dict[str, float]]:
    """What is logged of two optimizer steps, which move the weights."""
    learner = Learner(
        rewards={"place": lambda completions, **_: [float(place) for place in range(len(completions))]},
        watch=RewardWatch(max_error_share=0),
        model=str(model),
        args=GRPOConfig(
            output_dir=str(folder), use_cpu=True, bf16=False, report_to=[], save_strategy="no", logging_steps=1,
            max_steps=2, learning_rate=1e-2, num_generations=2, per_device_train_batch_size=4,
            gradient_checkpointing=False, **arguments,
        ),
        train_dataset=datasets.Dataset.from_list(ROWS),
        processing_class=AutoTokenizer.from_pretrained(model),
        fleet=None,
    )  # fmt: skip
    learner.train()
    return [entry for entry in learner.state.log_history if "loss" in entry]


@pytest.mark.parametrize("num_passes", [1, 2])
def test_it_is_the_number_that_trl_has_with_the_correction(num_passes: int, tiny_model: Path, tmp_path: Path) -> None:
    """Of the first step: the correction makes later weights other ones."""
    batches = {"gradient_accumulation_steps": num_passes}
    corrected, _ = steps(tiny_model, tmp_path, vllm_importance_sampling_correction=True, **batches)
    measured, _ = steps(tiny_model, tmp_path, vllm_importance_sampling_correction=False, **batches)
    assert corrected[MEAN] > 0.1
    assert measured[MEAN] == pytest.approx(corrected[MEAN], rel=1e-5)
    assert measured[MAX] == pytest.approx(corrected[MAX], rel=1e-5)
    assert RATIO in corrected
    assert RATIO not in measured  # there is none: nothing is corrected


@pytest.mark.parametrize("batches", [{"num_iterations": 2}, {"steps_per_generation": 2}])
def test_completions_are_judged_by_the_weights_that_wrote_them(
    batches: dict[str, int], tiny_model: Path, tmp_path: Path
) -> None:
    """Both steps learn from what was written before the first one: again from all, or each from a half."""
    corrected, _ = steps(tiny_model, tmp_path, vllm_importance_sampling_correction=True, **batches)
    first, second = steps(tiny_model, tmp_path, vllm_importance_sampling_correction=False, **batches)
    assert max(first[MAX], second[MAX]) == pytest.approx(corrected[MAX], rel=1e-5)
    if "num_iterations" in batches:
        assert (second[MEAN], second[MAX]) == (first[MEAN], first[MAX])
