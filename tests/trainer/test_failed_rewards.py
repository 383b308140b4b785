"""A completion whose scoring broke down teaches nothing, by TRL's own advantages; one without a gold answer does."""

import os
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

from grpo_contract.failure import UserError
from grpo_contract.metrics import RewardError
from grpo_trainer.fleet import generation
from grpo_trainer.learner import Learner
from trainer.played_generation import PlayedGeneration, in_trl_form
from trainer.scoring import Scored

G = 4
COMPLETE = "<think>\nwork\n</think>\n<answer>\n\\boxed{%s}\n</answer>"
RIGHT, WRONG, ENDLESS, NOTHING = COMPLETE % 5, COMPLETE % 6, COMPLETE % "9^{9^{9^{9}}}", "no"
COMPLETIONS = [
    *(RIGHT, WRONG, ENDLESS, NOTHING),  # of the problem whose solution is 5
    *(RIGHT, WRONG, NOTHING, NOTHING),  # of the problem whose solution is no answer
]
ROWS = [{"prompt": "2 + 3?", "solution": "$5$"}] * G + [{"prompt": "Hello?", "solution": "hello"}] * G
BUILT_IN = ("accuracy", "format", "tag_count")
OWN = """
import math
from grpo_trainer.rewards.score import FAILED
def only_the_first(completions, **_):
    return [1.0, FAILED, FAILED, FAILED, 1.0, 0.0, None, 0.0]
def logarithm(completions, **_):
    return [0.0, -math.inf, -1.0, -2.0, math.inf, 0.0, -1.0, -2.0]
def broken(completions, **_):
    raise ValueError("no judge")
def lengths(completions, log_extra, log_metric, trainer_state, **_):
    log_extra("letters", [len(text) for text in completions])
    log_metric("step", trainer_state.global_step + 1)
    return [0.0] * len(completions)
"""

# Sums of accuracy, format and tag_count; None for the failed one. The second problem has no accuracy to count.
GROUPS: list[list[float | None]] = [[3.0, 2.0, None, 0.0], [2.0, 2.0, 0.0, 0.0]]
SCORED = [[reward for reward in group if reward is not None] for group in GROUPS]


class WrittenCompletions(PlayedGeneration):
    """FleetGeneration's face towards TRL."""

    def __init__(self, settings: Any, *, processing_class: Any, **_: Any) -> None:
        super().__init__()
        self.tokenizer = processing_class

    def generate(self, prompts: list[list[int]], images: Any, num_generations: int, profiler: Any = None) -> Any:
        completions = [[*self.tokenizer(text)["input_ids"], self.tokenizer.eos_token_id] for text in COMPLETIONS]
        return in_trl_form(prompts, completions)


DEADLINE_S = 3.0
"""For the completion that would take math-verify for ever."""

MakeLearner = Callable[..., Learner]


@pytest.fixture
def make_learner(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeLearner]:
    """Its reward functions are what they are in a run: in processes."""
    monkeypatch.setattr(generation, "FleetGeneration", WrittenCompletions)
    (tmp_path / "own.py").write_text(OWN)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    running = []

    def make(*rewards: str, max_error_share: float = 1.0, **arguments: Any) -> Learner:
        scored = Scored(*rewards, timeout_s=DEADLINE_S, max_error_share=max_error_share)
        running.append(scored)
        scored.processes.required_columns()
        return Learner(
            rewards=scored.processes.functions,
            watch=scored.watch,
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
    for scored in running:
        scored.processes.__exit__(None, None, None)
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
    learner = make_learner(*BUILT_IN, scale_rewards=scale_rewards)
    scale = SCALES[scale_rewards]
    assert advantages_of(learner) == pytest.approx(
        [
            0.0 if reward is None else (reward - fmean(scored)) / scale(scored)
            for group, scored in zip(GROUPS, SCORED, strict=True)
            for reward in group
        ],
        abs=1e-6,
    )
    assert learner.watch.take_counts() == {
        ("accuracy", RewardError.TIMEOUT): 1,
        ("accuracy", RewardError.UNPARSABLE_SOLUTION): G,  # of which the other functions' scores count
    }
    assert learner.watch.error_share == pytest.approx(1 / 8 / 5)
    metrics = learner._metrics["train"]
    assert metrics["reward"] == [pytest.approx(fmean(EVERY_SCORE))]
    assert metrics["rewards/accuracy/mean"] == [pytest.approx(1 / 3)]
    assert metrics["rewards/format/mean"] == [pytest.approx(4 / 7)]


def test_nor_when_each_reward_is_normalised_alone(make_learner: MakeLearner) -> None:
    """TRL's normalize_then_sum: each function's scores by their group, their sums by the batch."""
    learner = make_learner(*BUILT_IN, multi_objective_aggregation="normalize_then_sum")

    def normalised(scores: list[float]) -> list[float]:
        return [(score - fmean(scores)) / (stdev(scores) + 1e-4) for score in scores]

    accuracy, layout, halves = normalised([1, 0, 0]), normalised([1, 1, 0]), normalised([1, 1, 0, 0])
    sums = [a + 2 * b for a, b in zip(accuracy, layout, strict=True)] + [2 * half for half in halves]
    expected = normalised(sums)
    expected.insert(COMPLETIONS.index(ENDLESS), 0.0)
    assert advantages_of(learner) == pytest.approx(expected, abs=1e-5)


def test_a_group_with_one_score_left_teaches_nothing(make_learner: MakeLearner) -> None:
    advantages = advantages_of(make_learner("own:only_the_first"))
    assert advantages[:G] == [0.0] * G
    assert advantages[G + 2] == 0.0
    assert advantages[G] > 0 > advantages[G + 1]


def test_a_failure_of_one_function_takes_the_scores_of_all(make_learner: MakeLearner) -> None:
    learner = make_learner(*BUILT_IN)
    advantages_of(learner)
    logged = learner._logs["rewards"]
    rows = torch.tensor([list(logged[name]) for name in BUILT_IN]).T
    assert torch.isnan(rows).all(dim=1).nonzero().flatten().tolist() == [COMPLETIONS.index(ENDLESS)]


def test_an_infinite_score_is_a_failed_one_and_the_log_says_so_once(
    make_learner: MakeLearner, caplog: pytest.LogCaptureFixture
) -> None:
    learner = make_learner("own:logarithm", "format")
    for _ in range(2):
        advantages = advantages_of(learner)
        assert [number for number, advantage in enumerate(advantages) if advantage == 0] == [1, G]
    assert learner.watch.take_counts() == {("own:logarithm", RewardError.FAILED): 4}
    assert [record.getMessage() for record in caplog.records if record.name == "grpo_trainer.learner"] == [
        "reward function own:logarithm gave no score to 2 of 8 completions: Failed: it returned -inf (said once)"
    ]


def test_the_step_after_too_many_failures_is_not_made(make_learner: MakeLearner) -> None:
    """One bad step of five is a fifth; a second one is more."""
    learner = make_learner("own:broken", "format", max_error_share=0.2)
    told = list[Any]()
    learner.scored = lambda: told.append(learner.watch.take_counts())
    assert advantages_of(learner) == [0.0] * len(ROWS)
    with pytest.raises(UserError) as caught:
        advantages_of(learner)
    assert told == [{("own:broken", RewardError.EXCEPTION): len(ROWS)}] * 2  # of the last one too
    assert caught.value.failure.reason == "RewardsFailing"
    assert "the last error: own:broken: Exception: ValueError: no judge (" in str(caught.value)


def test_what_functions_log_reaches_trl(make_learner: MakeLearner) -> None:
    learner = make_learner("own:lengths")
    advantages_of(learner)
    assert list(learner._logs["extra"]["letters"]) == [len(text) for text in COMPLETIONS]
    assert learner._metrics["train"]["step"] == [1.0]
