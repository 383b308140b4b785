"""What rank 0 tells of each step: metrics, progress and a line in the log. It reads what TRL and the seams measured."""

import logging
import math
import shutil
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from grpo_contract.metrics import (
    LEARNER_METRICS,
    REWARD_FUNC_GAUGES,
    TRL_KEYS_BY_LABEL,
    GroupOutcome,
    Phase,
    RewardError,
)
from grpo_contract.progress import CheckpointTrouble, Metrics, Stage
from grpo_trainer.instruments.idleness import Balance
from grpo_trainer.instruments.metrics import LearnerMetrics
from grpo_trainer.instruments.progress import Pace, ProgressBoard
from grpo_trainer.learner import Learner
from grpo_trainer.reports.fleet_report import FleetReport
from grpo_trainer.storage.checkpoints import Checkpoint
from grpo_trainer.storage.keeper import CheckpointKeeper

log = logging.getLogger(__name__)

Logs = Mapping[str, Any]


def number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def finite(value: Any) -> float | None:
    return found if (found := number(value)) is not None and math.isfinite(found) else None


class StepReport(TrainerCallback):  # type: ignore[misc]
    def __init__(
        self,
        learner: Learner,
        keeper: CheckpointKeeper,
        fleet: FleetReport,
        metrics: LearnerMetrics,
        board: ProgressBoard,
    ) -> None:
        self.learner = learner
        self.keeper = keeper
        self.rewards: list[str] = learner.reward_func_names
        self.fleet = fleet
        self.metrics = metrics
        self.board = board
        self.pace = Pace(time.monotonic())
        self.balance = Balance()
        self.seconds = 0.0
        self.logs: Logs = {}
        """What is known of the last step."""
        for name in self.rewards:
            for reason in RewardError:
                metrics.add("grpo_reward_errors_total", 0, name, reason.value)
        metrics.add("grpo_too_stale_completions_total", 0)
        self.tell_refills(Counter())
        learner.scored = self.tell_rewards

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.pace = Pace(time.monotonic())
        self.board.update(stage=Stage.WAITING_FOR_GENERATORS)  # until the fleet has one with the first weights
        self.tell_position(state)
        self.tell_volume()
        if self.keeper.newest is not None:
            self.tell_checkpoint(self.keeper.newest)
        log.info("step %d of %d: training begins", state.global_step, state.max_steps)

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.fleet.take_busy_s()  # between steps generators evaluate, or write ahead while a checkpoint is saved
        self.learner.clock.start_step()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.seconds, phases = self.learner.clock.end_step(self.fleet.take_waited_s())
        self.metrics.observe("grpo_step_seconds", self.seconds)
        for phase, seconds in phases.items():
            self.metrics.observe("grpo_phase_seconds", seconds, phase.value)
        tokens = self.learner.take_tokens()
        for kind, count in tokens.items():
            self.metrics.add("grpo_tokens_total", count, kind)
        for stat, value in self.learner.staleness.items():
            self.metrics.set("grpo_staleness_versions", value, stat)
        self.metrics.add("grpo_too_stale_completions_total", self.learner.take_num_too_stale())
        self.tell_refills(self.learner.take_refills())
        self.pace.step_ended(time.monotonic(), tokens["completion"], phases[Phase.WAIT])
        waited_s = phases[Phase.GENERATE] + phases[Phase.WAIT]
        self.balance.step_ended(self.seconds, waited_s, self.fleet.take_busy_s(), self.fleet.num_answering)
        self.metrics.set("grpo_learner_idle_ratio", self.balance.learner_idle_ratio)
        self.metrics.set("grpo_generator_idle_ratio", self.balance.generator_idle_ratio)
        if (padding := self.learner.padding.take_ratio()) is not None:
            self.metrics.set("grpo_padding_ratio", padding)
        self.tell_position(state)

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: Logs, **_: Any
    ) -> None:
        if "train_runtime" in logs or "eval_runtime" in logs:  # the summary at the end, or an evaluation
            return
        # A step that learns once more from the same completions says nothing of them: what was said of them stays.
        self.logs = logs if "reward" in logs else {**self.logs, **logs}
        copy_gauges(self.metrics, self.logs, self.rewards, of_evaluation=False)
        self.board.update(metrics=self.read_metrics(self.logs))
        log.info("%s", describe(state, self.read_metrics(logs), self.seconds))

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, metrics: Logs, **_: Any
    ) -> None:
        """No part of any step, nor are its waits for generators."""
        self.fleet.take_waited_s()
        self.pace.paused(metrics["eval_runtime"])

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        health = self.keeper.health(state.global_step)
        if health.trouble is not None or not self.has_unheard_damage():
            self.board.update(checkpoint_health=health)
        self.tell_volume()
        if health.trouble is not None:
            self.metrics.add("grpo_checkpoint_failures_total", 1, health.trouble.value)
            log.error("%s", health.message)
        elif self.keeper.newest is not None:
            self.tell_checkpoint(self.keeper.newest)
            log.info("step %d: checkpoint saved", state.global_step)
        self.metrics.observe("grpo_phase_seconds", self.learner.clock.take(Phase.CHECKPOINT), Phase.CHECKPOINT.value)

    def has_unheard_damage(self) -> bool:
        """What this attempt found damaged at its start stays said until somebody has heard it: the operator may be away."""
        told = self.board.read().checkpoint_health
        is_damage = told is not None and told.trouble is CheckpointTrouble.DAMAGED
        return is_damage and not self.board.has_handed_out("checkpoint_health")

    def tell_rewards(self) -> None:
        for (name, reason), count in self.learner.watch.take_counts().items():
            self.metrics.add("grpo_reward_errors_total", count, name, reason.value)
        self.board.update(reward_health=self.learner.watch.health)

    def tell_refills(self, refills: Counter[str]) -> None:
        for outcome in GroupOutcome:
            self.metrics.add("grpo_dynamic_sampling_groups_total", refills[outcome], outcome.value)
        self.metrics.add("grpo_dynamic_sampling_tokens_total", refills["tokens"])

    def tell_position(self, state: TrainerState) -> None:
        self.metrics.set("grpo_step", state.global_step)
        self.metrics.set("grpo_max_steps", state.max_steps)
        self.board.update_part(
            "progress",
            step=state.global_step,
            max_steps=state.max_steps,
            epoch=state.epoch,
            generator_seconds=self.balance.generator_s,
            learning_seconds=self.balance.learning_s,
            seconds_per_step=self.pace.seconds_per_step,
            eta_seconds=self.pace.eta_s(state.max_steps - state.global_step),
            tokens_per_second=self.pace.tokens_per_second,
        )

    def tell_checkpoint(self, checkpoint: Checkpoint) -> None:
        saved_at = datetime.fromisoformat(checkpoint.marker.time)
        self.board.update(checkpoint=checkpoint.progress)
        self.metrics.set("grpo_checkpoint_step", checkpoint.marker.step)
        self.metrics.set("grpo_checkpoint_timestamp_seconds", saved_at.timestamp())

    def tell_volume(self) -> None:
        try:
            volume = shutil.disk_usage(self.keeper.folder.parent)
        except OSError:  # of which CheckpointHealthy has the words, when the next checkpoint is not written
            return
        self.metrics.set("grpo_volume_size_bytes", volume.total)
        self.metrics.set("grpo_volume_available_bytes", volume.free)

    def read_metrics(self, logs: Logs) -> Metrics:
        rewards = {name: finite(logs.get(f"rewards/{name}/mean")) for name in self.rewards}
        return Metrics(
            reward=finite(logs.get("reward")),
            reward_std=finite(logs.get("reward_std")),
            kl=finite(logs.get("kl")),
            loss=finite(logs.get("loss")),
            entropy=finite(logs.get("entropy")),
            completion_length=finite(logs.get("completions/mean_length")),
            sampling_logp_difference_max=finite(logs.get("sampling/sampling_logp_difference/max")),
            rewards={name: value for name, value in rewards.items() if value is not None},
        )


def copy_gauges(metrics: LearnerMetrics, logs: Logs, rewards: Sequence[str], *, of_evaluation: bool) -> None:
    """What TRL logs of a step, or of an evaluation."""
    for metric in LEARNER_METRICS:
        if metric.is_of_evaluation is not of_evaluation:
            continue
        if metric.trl_key is not None:
            metrics.set(metric.name, number(logs.get(metric.trl_key)))
        for label, key in TRL_KEYS_BY_LABEL.get(metric.name, {}).items():
            metrics.set(metric.name, number(logs.get(key)), label)
    of_function, prefix = (REWARD_FUNC_GAUGES[of_evaluation], "eval_" if of_evaluation else "")
    for name in rewards:
        for stat in ("mean", "std"):
            metrics.set(of_function, number(logs.get(f"{prefix}rewards/{name}/{stat}")), name, stat)


def describe(state: TrainerState, metrics: Metrics, seconds: float) -> str:
    values = {
        "reward": metrics.reward,
        **metrics.rewards,
        "kl": metrics.kl,
        "loss": metrics.loss,
        "entropy": metrics.entropy,
        "length": metrics.completion_length,
        "logp difference": metrics.sampling_logp_difference_max,
    }
    return f"step {state.global_step}/{state.max_steps}  {listed(values)}  {seconds:.1f} s"


def listed(values: Mapping[str, float | None]) -> str:
    return "  ".join(f"{name} {value:.3g}" for name, value in values.items() if value is not None)
