"""What rank 0 tells of each evaluation: metrics, progress and a line in the log."""

import logging
from collections.abc import Sequence
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from grpo_contract.metrics import Phase
from grpo_contract.progress import EvaluationProgress
from grpo_trainer.evaluating.comparison import best_so_far
from grpo_trainer.instruments.metrics import LearnerMetrics
from grpo_trainer.instruments.progress import ProgressBoard, time_now
from grpo_trainer.reports.step_report import Logs, copy_gauges, finite, listed

log = logging.getLogger(__name__)


class EvaluationReport(TrainerCallback):  # type: ignore[misc]
    def __init__(self, rewards: Sequence[str], metrics: LearnerMetrics, board: ProgressBoard) -> None:
        self.rewards = rewards
        self.metrics = metrics
        self.board = board

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, metrics: Logs, **_: Any
    ) -> None:
        seconds = metrics["eval_runtime"]
        copy_gauges(self.metrics, metrics, self.rewards, of_evaluation=True)
        self.metrics.set("grpo_eval_step", state.global_step)
        self.metrics.observe("grpo_phase_seconds", seconds, Phase.EVALUATE.value)
        evaluation = read_evaluation(metrics, self.rewards, state.global_step)
        evaluation.best = best_so_far(state, args.metric_for_best_model)
        self.board.update(evaluation=evaluation)
        log.info(
            "step %d/%d  evaluation: %s  %.1f s", state.global_step, state.max_steps, describe(evaluation), seconds
        )

    def compared(self, args: TrainingArguments, state: TrainerState) -> None:
        """The evaluation just told, with those before it."""
        self.board.update_part("evaluation", best=best_so_far(state, args.metric_for_best_model))


def read_evaluation(logs: Logs, rewards: Sequence[str], step: int) -> EvaluationProgress:
    means = {name: finite(logs.get(f"eval_rewards/{name}/mean")) for name in rewards}
    return EvaluationProgress(
        step=step,
        time=time_now(),
        reward=finite(logs.get("eval_reward")),
        reward_std=finite(logs.get("eval_reward_std")),
        completion_length=finite(logs.get("eval_completions/mean_length")),
        rewards={name: value for name, value in means.items() if value is not None},
    )


def describe(evaluation: EvaluationProgress) -> str:
    return listed({"reward": evaluation.reward, **evaluation.rewards, "length": evaluation.completion_length})
