"""When evaluations end training, what is said then, and that a resumed count goes on."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau
from transformers import TrainerControl, TrainerState
from transformers.optimization import GreedyLR

from grpo_contract.failure import UserError
from grpo_trainer.evaluating.comparison import check_metric, comparable
from grpo_trainer.evaluating.early_stopping import EarlyStopping, early_stopping_of
from grpo_trainer.evaluating.ended_early import ended_early
from grpo_trainer.evaluating.following import follow
from grpo_trainer.recipe import OpenR1Arguments

REWARD: Any = SimpleNamespace(metric_for_best_model="reward", greater_is_better=True)


def evaluate(
    stopping: EarlyStopping, state: TrainerState, values: list[float | None], args: Any = REWARD, max_steps: int = 100
) -> int | None:
    """As transformers does after each of its steps; returns the step that it ends at."""
    control = TrainerControl()
    state.max_steps = max_steps
    for value in values:
        state.global_step += 1
        stopping.on_evaluate(args, state, control, {f"eval_{args.metric_for_best_model}": value})
        if comparable(value) is not None:
            assert value is not None
            best = state.best_metric
            is_better = best is None or (value > best if args.greater_is_better else value < best)
            state.best_metric = value if is_better else best
        if control.should_training_stop:
            step: int = state.global_step
            return step
    return None


def fresh(patience: int = 1, threshold: float = 0.0) -> tuple[EarlyStopping, TrainerState]:
    stopping = EarlyStopping(patience, threshold)
    return stopping, TrainerState(global_step=0, stateful_callbacks=[stopping])


ENDS: list[tuple[int, float, list[float | None], int | None, str | None]] = [
    (1, 0.0, [0.25, 0.5, 0.5, 1.0], 3, "eval_reward did not rise above its best, 0.5, in the last evaluation"),
    (2, 0.0, [0.5, 0.25, 0.75, 0.5, 0.5], 5, "eval_reward did not rise above its best, 0.75, in 2 evaluations in a row"),
    (2, 0.0, [0.5, 0.25, 0.75, 0.5, 1.0], None, None),
    (2, 0.1, [0.5, 0.5625, 0.625, 0.75], 3,
     "eval_reward did not rise above its best, 0.5625, by more than 0.1 in 2 evaluations in a row"),
    (1, 0.0, [None, 0.5, None, float("nan"), 0.75, None], None, None),
    (2, 0.0, [0.5, 0.25, None, 0.25], 4, "eval_reward did not rise above its best, 0.5, in 2 evaluations in a row"),
]  # fmt: skip


@pytest.mark.parametrize(("patience", "threshold", "values", "step", "reason"), ENDS)
def test_training_ends(
    patience: int, threshold: float, values: list[float | None], step: int | None, reason: str | None
) -> None:
    stopping, state = fresh(patience, threshold)
    assert evaluate(stopping, state, values) == step
    assert ended_early(state.stateful_callbacks) == reason


def test_what_is_to_fall() -> None:
    stopping, state = fresh()
    args = SimpleNamespace(metric_for_best_model="kl", greater_is_better=False)
    assert evaluate(stopping, state, [0.5, 0.25, 0.5], args) == 3
    assert ended_early(state.stateful_callbacks) == "eval_kl did not fall below its best, 0.25, in the last evaluation"


def test_the_last_step_is_no_early_end() -> None:
    stopping, state = fresh()
    assert evaluate(stopping, state, [0.5, 0.5], max_steps=2) is None
    assert ended_early(state.stateful_callbacks) is None


def test_another_attempt_counts_on() -> None:
    first, state = fresh(patience=3)
    evaluate(first, state, [0.5, 0.25, 0.25])
    second = EarlyStopping(3)
    second.on_train_begin(REWARD, state, TrainerControl())
    assert evaluate(second, state, [0.25, 0.25]) == 4


def test_the_recipes_arguments() -> None:
    assert early_stopping_of(OpenR1Arguments(dataset_name="d")) == []
    (stopping,) = early_stopping_of(OpenR1Arguments(dataset_name="d", callbacks=["early_stopping"]))
    assert (stopping.early_stopping_patience, stopping.early_stopping_threshold) == (1, 0.0)
    keys: dict[str, Any] = {"early_stopping_patience": 3, "early_stopping_threshold": 0.5}
    (stopping,) = early_stopping_of(OpenR1Arguments(dataset_name="d", callbacks=["early_stopping"], **keys))
    assert (stopping.early_stopping_patience, stopping.early_stopping_threshold) == (3, 0.5)


def test_an_evaluation_without_the_figure_leaves_the_learning_rate_as_it_is() -> None:
    schedules: list[ReduceLROnPlateau | GreedyLR] = [
        ReduceLROnPlateau(SGD([torch.zeros(1)], lr=1.0), mode="max", factor=0.5, patience=0),
        GreedyLR(SGD([torch.zeros(1)], lr=1.0), mode="max", factor=0.5, patience=0),
    ]
    for schedule in schedules:
        for value in (0.5, None, float("nan"), 0.75, 0.75):
            before = schedule.last_epoch
            follow(schedule, value)
            assert schedule.last_epoch == before + (comparable(value) is not None)
    assert [schedule.get_last_lr() for schedule in schedules] == [[0.5], [0.5]]


def test_other_schedules_follow_no_evaluation() -> None:
    schedule = LambdaLR(SGD([torch.zeros(1)], lr=1.0), lambda step: 0.5**step)
    follow(schedule, 0.5)
    assert schedule.get_last_lr() == [1.0]


def test_a_metric_that_no_evaluation_has() -> None:
    results = {"eval_reward": 0.5, "eval_rewards/accuracy/mean": 0.5, "eval_runtime": 1.0, "epoch": 1.0}
    for metric in ("reward", "eval_rewards/accuracy/mean"):
        check_metric(metric, results)
    with pytest.raises(UserError) as caught:
        check_metric("accuracy", results)
    assert str(caught.value) == (
        "spec.recipe.metric_for_best_model is 'accuracy', which is no figure of an evaluation; set it to one of reward, "
        "rewards/accuracy/mean."
    )
