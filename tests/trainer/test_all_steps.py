"""A training that comes back before its last step leaves no trained model: that would be the run's for good."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from transformers import TrainerState
from transformers.trainer_utils import TrainOutput

from grpo_contract.failure import RunFailure, UserError
from grpo_trainer.end_request import AskedToEnd
from grpo_trainer.training import make_all_steps

STEPS = 8


class LearnerThatEnds(SimpleNamespace):
    def __init__(self, step: int) -> None:
        super().__init__(state=TrainerState(global_step=step, max_steps=STEPS), resumed_from="never called")

    def train(self, resume_from_checkpoint: str | None) -> TrainOutput:
        self.resumed_from = resume_from_checkpoint
        return TrainOutput(self.state.global_step, 0.5, {"train_loss": 0.5})


@pytest.mark.parametrize(("resume_from", "resumed_from"), [(None, None), (Path("/checkpoint-4"), "/checkpoint-4")])
def test_all_steps(resume_from: Path | None, resumed_from: str | None) -> None:
    learner: Any = LearnerThatEnds(STEPS)
    assert make_all_steps(learner, resume_from) == {"train_loss": 0.5}
    assert learner.resumed_from == resumed_from


def test_a_training_that_is_asked_to_end_saves_before_it_ends() -> None:
    def train(resume_from_checkpoint: str | None) -> TrainOutput:
        raise AskedToEnd("before a step")

    saved = []

    def save_step(learner: Any) -> AskedToEnd:
        saved.append(learner)
        return AskedToEnd("Step 3 is saved.")

    learner: Any = SimpleNamespace(train=train, ending=SimpleNamespace(save_step=save_step))
    with pytest.raises(AskedToEnd) as caught:
        make_all_steps(learner, None)
    assert caught.value.failure.reason == "LearnerAskedToEnd"
    assert str(caught.value) == "Step 3 is saved."
    assert saved == [learner]


@pytest.mark.parametrize("step", [0, STEPS - 1])
def test_an_early_end_is_for_another_attempt(step: int) -> None:
    learner: Any = LearnerThatEnds(step)
    with pytest.raises(RunFailure) as caught:
        make_all_steps(learner, None)
    assert not isinstance(caught.value, UserError)
    assert caught.value.failure.reason == "LearnerError"
    assert str(caught.value) == (
        f"training ended after step {step} of 8: the data set gave no more rows; the next attempt goes on from the newest "
        "checkpoint."
    )
