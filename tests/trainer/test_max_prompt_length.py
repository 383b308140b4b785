"""max_prompt_length, which TRL has dropped: what generators are asked and what is learnt from are a prompt's last tokens."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import pytest
from accelerate.state import AcceleratorState
from transformers import AutoTokenizer, PreTrainedTokenizerBase
from trl import GRPOConfig

from grpo_trainer.fleet import generation
from grpo_trainer.learner import Learner
from grpo_trainer.rewards.watch import RewardWatch
from trainer.played_generation import PlayedGeneration

SHORT, LONG = "2?", "What is two plus two, and what is three plus three?"
ROWS: list[dict[str, Any]] = [{"prompt": text} for text in (LONG, LONG, SHORT, SHORT)]
LIMIT = 5


class AskedGenerators(PlayedGeneration):
    """FleetGeneration's face towards TRL; completes every prompt with the end of the text."""

    def __init__(self, settings: Any, *, processing_class: Any, **_: Any) -> None:
        super().__init__()
        self.end = processing_class.eos_token_id
        self.asked: list[list[int]] = []

    def generate(self, prompts: list[list[int]], images: Any, num_generations: int, profiler: Any = None) -> Any:
        self.asked = prompts
        ends = [[self.end] for _ in prompts]
        return prompts, ends, [[[-1.0]] for _ in prompts], [[[self.end]] for _ in prompts]


@pytest.fixture
def tokenizer(tiny_model: Path) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(tiny_model)


@pytest.fixture
def tokens_of(
    tiny_model: Path, tmp_path: Path, tokenizer: PreTrainedTokenizerBase, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    """(tokens that the generators are asked to go on from, tokens that are learnt from) under a limit."""
    monkeypatch.setattr(generation, "FleetGeneration", AskedGenerators)

    def run(limit: int | None) -> tuple[list[list[int]], list[list[int]]]:
        learner = Learner(
            rewards={"one": lambda completions, **_: [1.0] * len(completions)},
            watch=RewardWatch(max_error_share=0),
            max_prompt_length=limit,
            model=str(tiny_model),
            args=GRPOConfig(
                output_dir=str(tmp_path), use_cpu=True, bf16=False, report_to=[], num_generations=2,
                per_device_train_batch_size=len(ROWS), vllm_importance_sampling_correction=False,
            ),
            train_dataset=datasets.Dataset.from_list(ROWS),
            processing_class=tokenizer,
            fleet=None,
        )  # fmt: skip
        learner.model.train()
        batch = learner._generate_and_score_completions([dict(row) for row in ROWS])
        learnt = [
            ids[mask.bool()].tolist() for ids, mask in zip(batch["prompt_ids"], batch["prompt_mask"], strict=True)
        ]
        return learner.vllm_generation.asked, learnt

    yield run
    AcceleratorState._reset_state(reset_partial_state=True)


def test_the_last_tokens_of_a_long_prompt_are_taken(tokens_of: Any, tokenizer: PreTrainedTokenizerBase) -> None:
    long, short = (tokenizer(text)["input_ids"] for text in (LONG, SHORT))
    assert len(long) > LIMIT >= len(short)
    cut = [long[-LIMIT:], long[-LIMIT:], short, short]
    assert tokens_of(LIMIT) == (cut, cut)


def test_without_a_limit_prompts_are_whole(tokens_of: Any, tokenizer: PreTrainedTokenizerBase) -> None:
    whole = [tokenizer(row["prompt"])["input_ids"] for row in ROWS]
    assert tokens_of(None) == (whole, whole)
