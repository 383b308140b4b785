"""A completion whose scoring broke down teaches nothing, by TRL's own advantages; one without a gold answer does."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import datasets
import pytest
import torch
from accelerate.state import AcceleratorState
from transformers import AutoTokenizer
from trl import GRPOConfig

from grpo_trainer.fleet import generation
from grpo_trainer.learner import Learner
from grpo_trainer.rewards import accuracy as accuracy_module
from grpo_trainer.rewards import registry
from grpo_trainer.rewards.arguments import RewardArguments
from grpo_trainer.rewards.registry import RewardFunction
from grpo_trainer.rewards.score import FAILED, Score

G = 4
COMPLETE = "<think>\nwork\n</think>\n<answer>\n\\boxed{%s}\n</answer>"
RIGHT, WRONG, ENDLESS, NOTHING = COMPLETE % 5, COMPLETE % 6, COMPLETE % "9^{9^{9^{9}}}", "no"
COMPLETIONS = [
    *(RIGHT, WRONG, ENDLESS, NOTHING),  # of the problem whose solution is 5
    *(RIGHT, WRONG, NOTHING, NOTHING),  # of the problem whose solution is no answer
]
ROWS = [{"prompt": "2 + 3?", "solution": "$5$"}] * G + [{"prompt": "Hello?", "solution": "hello"}] * G
BUILT_IN = {name: registry.load(name, RewardArguments()) for name in ("accuracy", "format", "tag_count")}

# Sums of accuracy, format and tag_count; None for the failed one. The second problem has no accuracy to count.
GROUPS: list[list[float | None]] = [[3.0, 2.0, None, 0.0], [2.0, 2.0, 0.0, 0.0]]
SCORED = [[reward for reward in group if reward is not None] for group in GROUPS]


class WrittenCompletions:
    """FleetGeneration's face towards TRL."""

    def __init__(self, settings: Any, *, processing_class: Any, **_: Any) -> None:
        self.tokenizer = processing_class

    def sync_weights(self) -> None:
        pass

    def generate(self, prompts: list[list[int]], images: Any, num_generations: int, profiler: Any = None) -> Any:
        completions = [[*self.tokenizer(text)["input_ids"], self.tokenizer.eos_token_id] for text in COMPLETIONS]
        logprobs = [[[-1.0]] * len(completion) for completion in completions]
        return prompts, completions, logprobs, [[[token] for token in completion] for completion in completions]


MakeLearner = Callable[..., Learner]


@pytest.fixture
def make_learner(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeLearner]:
    monkeypatch.setattr(generation, "FleetGeneration", WrittenCompletions)
    monkeypatch.setattr(accuracy_module, "VERIFY_TIMEOUT_S", 1)

    def make(rewards: dict[str, RewardFunction], **arguments: Any) -> Learner:
        return Learner(
            rewards=rewards,
            model=str(tiny_model),
            args=GRPOConfig(
                output_dir=str(tmp_path),
                use_cpu=True,
                bf16=False,
                report_to=[],
                num_generations=G,
                per_device_train_batch_size=len(ROWS),
                vllm_importance_sampling_correction=False,
                **arguments,
            ),
            train_dataset=datasets.Dataset.from_list(ROWS),
            processing_class=AutoTokenizer.from_pretrained(tiny_model),
            fleet=None,
        )

    yield make
    AcceleratorState._reset_state(reset_partial_state=True)


def advantages_of(learner: Learner) -> list[float]:
    learner.model.train()
    batch = learner._generate_and_score_completions([dict(row) for row in ROWS])
    advantages: list[float] = batch["advantages"].tolist()
    return advantages


EVERY_SCORE = [reward for group in SCORED for reward in group]
SCALES: dict[str, Callable[[list[float]], float]] = {
    # scale_rewards: (scores of a group) -> what its advantages are divided by
    "group": lambda scored: stdev(scored) + 1e-4,
    "batch": lambda scored: stdev(EVERY_SCORE) + 1e-4,
    "none": lambda scored: 1.0,
}


@pytest.mark.parametrize("scale_rewards", SCALES)
def test_a_failed_completion_is_no_part_of_its_group(make_learner: MakeLearner, scale_rewards: str) -> None:
    learner = make_learner(BUILT_IN, scale_rewards=scale_rewards)
    scale = SCALES[scale_rewards]
    assert advantages_of(learner) == pytest.approx(
        [
            0.0 if reward is None else (reward - fmean(scored)) / scale(scored)
            for group, scored in zip(GROUPS, SCORED, strict=True)
            for reward in group
        ],
        abs=1e-6,
    )
    assert learner.take_failed() == [1, 0, 0]  # nothing to score is no failure
    metrics = learner._metrics["train"]
    assert metrics["reward"] == [pytest.approx(fmean(EVERY_SCORE))]
    assert metrics["rewards/accuracy/mean"] == [pytest.approx(1 / 3)]
    assert metrics["rewards/format/mean"] == [pytest.approx(4 / 7)]


def test_nor_when_each_reward_is_normalised_alone(make_learner: MakeLearner) -> None:
    """TRL's normalize_then_sum: each function's scores by their group, their sums by the batch."""
    learner = make_learner(BUILT_IN, multi_objective_aggregation="normalize_then_sum")

    def normalised(scores: list[float]) -> list[float]:
        return [(score - fmean(scores)) / (stdev(scores) + 1e-4) for score in scores]

    accuracy, layout, halves = normalised([1, 0, 0]), normalised([1, 1, 0]), normalised([1, 1, 0, 0])
    sums = [a + 2 * b for a, b in zip(accuracy, layout, strict=True)] + [2 * half for half in halves]
    expected = normalised(sums)
    expected.insert(COMPLETIONS.index(ENDLESS), 0.0)
    assert advantages_of(learner) == pytest.approx(expected, abs=1e-5)


def test_a_group_with_one_score_left_teaches_nothing(make_learner: MakeLearner) -> None:
    def only_the_first(completions: list[str], **_: object) -> list[Score]:
        return [1.0, *[FAILED] * (G - 1), 1.0, 0.0, None, 0.0]

    advantages = advantages_of(make_learner({"only_the_first": only_the_first}))
    assert advantages[:G] == [0.0] * G
    assert advantages[G + 2] == 0.0
    assert advantages[G] > 0 > advantages[G + 1]


def test_a_failure_of_one_function_takes_the_scores_of_all(make_learner: MakeLearner) -> None:
    learner = make_learner(BUILT_IN)
    advantages_of(learner)
    logged = learner._logs["rewards"]
    rows = torch.tensor([list(logged[name]) for name in BUILT_IN]).T
    assert torch.isnan(rows).all(dim=1).nonzero().flatten().tolist() == [COMPLETIONS.index(ENDLESS)]


def test_an_infinite_score_is_a_failed_one_and_the_log_says_so_once(
    make_learner: MakeLearner, caplog: pytest.LogCaptureFixture
) -> None:
    def logarithm(completions: list[str], **_: object) -> list[Score]:
        return [0.0, -math.inf, -1.0, -2.0, math.inf, 0.0, -1.0, -2.0]

    learner = make_learner({"logarithm": logarithm, "format": BUILT_IN["format"]})
    for _ in range(2):
        advantages = advantages_of(learner)
        assert [number for number, advantage in enumerate(advantages) if advantage == 0] == [1, G]
    assert learner.take_failed() == [4, 0]
    assert [record.getMessage() for record in caplog.records if record.name == "grpo_trainer.learner"] == [
        "reward function logarithm: 2 of 8 completions have FAILED or an infinite score, and so no reward at all "
        "(said once)"
    ]
