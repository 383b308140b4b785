"""Schedules of the learning rate that follow evaluations."""

from typing import Any

from torch.optim.lr_scheduler import ReduceLROnPlateau
from transformers.optimization import GreedyLR

from grpo_trainer.evaluating.comparison import comparable


def follow(schedule: Any, figure: Any) -> None:
    """As transformers does, but for an evaluation that has no such figure: both would count NaN as no better."""
    if isinstance(schedule, ReduceLROnPlateau | GreedyLR) and comparable(figure) is not None:
        schedule.step(figure)
