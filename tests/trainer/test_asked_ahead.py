"""A batch that was asked for ahead is the one that TRL comes to, with the tokens that it was asked for with."""

from collections import deque
from types import SimpleNamespace
from typing import Any

import pytest

from grpo_trainer.fleet.generation import FleetGRPOTrainer
from grpo_trainer.sampling.overlap import OverlappedTrainer
from trainer.played_generation import PlayedGeneration

ROWS = [[{"prompt": f"{batch} {row}"} for row in range(2)] for batch in range(3)]


class RecordingGeneration(PlayedGeneration):
    max_staleness = 1

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, list[list[int]]]] = []
        self.events: list[str] = []
        """Batches that are asked for and taken."""

    def ask(self, batch: str, prompts: Any, num_generations: int) -> None:
        super().ask(batch, prompts, num_generations)
        self.asked.append((batch, [list(prompt) for prompt in prompts]))
        self.events.append(f"{batch} asked for")

    def take(self) -> None:
        self.events.append(f"{self.wanted} taken")


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Its template says how often it was rendered. `learnt` are the tokens that TRL goes on with."""
    learner: Any = OverlappedTrainer.__new__(OverlappedTrainer)
    learner.__dict__ |= {
        "vllm_generation": RecordingGeneration(),
        "model": SimpleNamespace(training=True),
        "args": SimpleNamespace(steps_per_generation=1, gradient_accumulation_steps=1),
        "num_iterations": 1,
        "num_generations": 1,
        "state": SimpleNamespace(max_steps=3),
        "_on_arrival": None,
        "_rows_ahead": SimpleNamespace(at=lambda step: ROWS[step]),
        "_asked_ahead": {},
        "_versions": deque(maxlen=2),
        "_step": 0,
        "rendered": 0,
        "learnt": [],
    }

    def tokenize(prompts: list[str]) -> Any:
        learner.rendered += 1
        return ([[int(prompt[0]), int(prompt[2]), learner.rendered] for prompt in prompts],)

    def generate_and_score(learner: Any, rows: Any) -> dict[str, Any]:
        prompt_ids = learner._tokenize_prompts([row["prompt"] for row in rows])[0]
        learner._generate_single_turn(prompt_ids)
        learner.learnt.append(prompt_ids)
        return {}

    learner._tokenize_prompts = tokenize
    learner._tell_staleness = lambda: None
    monkeypatch.setattr(FleetGRPOTrainer, "_generate_and_score_completions", generate_and_score)
    monkeypatch.setattr(FleetGRPOTrainer, "_generate_single_turn", lambda *_: learner.vllm_generation.take())
    return learner


def test_trl_goes_on_with_the_tokens_that_were_asked_for(trainer: Any) -> None:
    for step, rows in enumerate(ROWS):
        trainer._step = step
        trainer._generate_and_score_completions([dict(row) for row in rows])
    assert [batch for batch, _ in trainer.vllm_generation.asked] == ["training 0", "training 1", "training 2"]
    assert trainer.learnt == [tokens for _, tokens in trainer.vllm_generation.asked]
    assert trainer.learnt == [[[0, 0, 1], [0, 1, 1]], [[1, 0, 2], [1, 1, 2]], [[2, 0, 4], [2, 1, 4]]]


def test_the_first_batch_does_not_share_the_generators(trainer: Any) -> None:
    """Learners have nothing else to do until it is there; later ones follow each other without a gap."""
    for step, rows in enumerate(ROWS):
        trainer._step = step
        trainer._generate_and_score_completions([dict(row) for row in rows])
    assert trainer.vllm_generation.events == [
        "training 0 asked for",
        "training 0 taken",
        "training 1 asked for",
        "training 2 asked for",
        "training 1 taken",
        "training 2 taken",
    ]


def test_generators_are_told_which_versions_training_takes(trainer: Any) -> None:
    """Of the last two batches: the versions in between were for evaluations."""
    taken = []
    for step, version in enumerate((1, 4, 7)):
        trainer._step, trainer.vllm_generation.num_versions = step, version
        trainer._generate_and_score_completions(ROWS[step])
        taken.append(trainer.vllm_generation.oldest_taken)
    assert taken == [1, 1, 4]


def test_other_rows_than_were_asked_for_are_a_defect(trainer: Any) -> None:
    trainer._generate_and_score_completions(ROWS[0])
    trainer._step = 1
    with pytest.raises(AssertionError, match="training 1 is not what was asked for ahead"):
        trainer._generate_and_score_completions(ROWS[2])
