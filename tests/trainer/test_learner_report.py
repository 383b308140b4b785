"""What rank 0 makes of TRL's logs and the measured phases."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from grpo_contract.metrics import Phase, RewardError
from grpo_contract.progress import CheckpointHealth, CheckpointTrouble, Stage
from grpo_trainer.fleet.observer import GeneratorState, GeneratorStatus
from grpo_trainer.instruments.metrics import LearnerMetrics
from grpo_trainer.instruments.padding import Padding
from grpo_trainer.instruments.phases import PhaseClock
from grpo_trainer.instruments.progress import Pace, ProgressBoard
from grpo_trainer.reports.evaluation_report import EvaluationReport
from grpo_trainer.reports.exporter import new_registry
from grpo_trainer.reports.fleet_report import FleetReport
from grpo_trainer.reports.step_report import StepReport
from grpo_trainer.rewards.processes.messages import Mishap
from grpo_trainer.rewards.watch import RewardWatch
from grpo_trainer.storage.checkpoints import Checkpoint
from grpo_trainer.storage.marker import Marker
from grpo_trainer.storage.model_card import model_card

LOGS = {
    "loss": 0.004,
    "grad_norm": 0.5,
    "learning_rate": 1e-6,
    "epoch": 0.25,
    "reward": 0.75,
    "reward_std": 0.2,
    "frac_reward_zero_std": 0.125,
    "kl": 0.013,
    "entropy": 1.5,
    "rewards/accuracy/mean": 0.5,
    "rewards/accuracy/std": 0.1,
    "rewards/mine:length/mean": None,  # as TRL logs a function that scored nothing
    "clip_ratio/low_mean": 0.01,
    "clip_ratio/high_mean": 0.02,
    "clip_ratio/region_mean": 0.03,
    "completions/mean_length": 30.5,
    "completions/min_length": 10.0,
    "completions/max_length": 48.0,
    "completions/clipped_ratio": 0.25,
    "sampling/sampling_logp_difference/mean": 1e-7,
    "sampling/sampling_logp_difference/max": 1e-6,
    "sampling/importance_sampling_ratio/min": 0.9,
    "sampling/importance_sampling_ratio/mean": 1.0,
    "sampling/importance_sampling_ratio/max": 1.1,
}


def stand_in(**values: Any) -> Any:
    return SimpleNamespace(**values)


class Told:
    """A report whose learner is a sheet of prepared numbers."""

    def __init__(self) -> None:
        self.registry = new_registry()
        self.metrics = LearnerMetrics(self.registry)
        self.board = ProgressBoard(1)
        self.learner = stand_in(
            clock=PhaseClock(),
            reward_func_names=["accuracy", "mine:length"],
            take_tokens=lambda: {"prompt": 100, "completion": 640},
            watch=RewardWatch(max_error_share=0.5),
            padding=Padding(),
            staleness={"mean": 0.5, "max": 1.0},
            take_num_too_stale=lambda: 3,
            take_refills=Counter,
        )
        self.keeper = stand_in(
            newest=None, health=lambda step: CheckpointHealth(), folder=Path(__file__).with_name("checkpoints")
        )
        fleet = FleetReport(self.metrics, self.board)
        fleet.states(
            [GeneratorStatus(state.value, state) for state in GeneratorState]
        )  # two that answer, and one that is lost
        self.report = StepReport(self.learner, self.keeper, fleet, self.metrics, self.board)

    def happen(self, event: str, step: int, **more: Any) -> None:
        state = SimpleNamespace(global_step=step, max_steps=40, epoch=step / 4)
        getattr(self.report, event)(None, state, None, **more)

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)

    def progress(self) -> Any:
        return json.loads(self.board.read().to_json())


@pytest.fixture
def told() -> Told:
    return Told()


def test_a_step(told: Told) -> None:
    told.happen("on_train_begin", 0)
    assert "rewardHealth" not in told.progress()  # nobody knows before the first step
    assert told.progress()["stage"] == "WaitingForGenerators"  # until the fleet says that one has the weights
    for step in (0, 1):
        told.happen("on_step_begin", step)
        told.learner.watch.count("mine:length", [Mishap(RewardError.TIMEOUT, "too long")] * 3)
        told.learner.watch.see([told.learner.watch.take_batch()], 0.25, is_training=True)
        told.learner.scored()
        with told.learner.clock.phase(Phase.REWARD):
            pass
        told.happen("on_step_end", step + 1)
    assert told.value("grpo_step") == 2
    assert told.value("grpo_max_steps") == 40
    assert told.value("grpo_step_seconds_count") == 2
    for phase in (Phase.REWARD, Phase.LEARN, Phase.WAIT, Phase.GENERATE):
        assert told.value("grpo_phase_seconds_count", phase=phase) == 2
    assert told.value("grpo_staleness_versions", stat="mean") == 0.5
    assert told.value("grpo_staleness_versions", stat="max") == 1
    assert told.value("grpo_too_stale_completions_total") == 6
    assert told.value("grpo_tokens_total", kind="prompt") == 200
    assert told.value("grpo_tokens_total", kind="completion") == 1280
    for reason in RewardError:
        assert told.value("grpo_reward_errors_total", reward_func="accuracy", reason=reason) == 0
        failed = 6 if reason is RewardError.TIMEOUT else 0
        assert told.value("grpo_reward_errors_total", reward_func="mine:length", reason=reason) == failed
    assert told.progress()["rewardHealth"] == {"errorShare": 0.1, "lastError": "mine:length: Timeout: too long"}
    progress = told.progress()["progress"]
    assert (progress["step"], progress["maxSteps"], progress["epoch"]) == (2, 40, 0.5)
    assert progress["etaSeconds"] == pytest.approx(progress["secondsPerStep"] * 38)


def test_who_waits_for_whom(told: Told, now: Callable[[float], None]) -> None:
    """They take turns: 6 s of generation, then 4 s of learning. Between steps, generators are at work for an evaluation."""
    told.happen("on_train_begin", 0)
    for step in range(4):
        with told.report.fleet.asking():
            now(30)
        told.happen("on_step_begin", step)
        with told.learner.clock.phase(Phase.GENERATE), told.report.fleet.asking():
            now(6)
        now(4)
        told.happen("on_step_end", step + 1)
        if step == 0:
            assert told.value("grpo_learner_idle_ratio") is None
    assert told.value("grpo_learner_idle_ratio") == pytest.approx(0.6)
    assert told.value("grpo_generator_idle_ratio") == pytest.approx(0.4)
    progress = told.progress()["progress"]
    assert (progress["generatorSeconds"], progress["learningSeconds"]) == pytest.approx((12, 4))


def test_generators_that_write_ahead_do_not_idle(told: Told, now: Callable[[float], None]) -> None:
    told.happen("on_train_begin", 0)
    for step in range(4):
        told.happen("on_step_begin", step)
        with told.report.fleet.asking():
            now(4)
            with told.learner.clock.phase(Phase.GENERATE):
                now(1)
        told.happen("on_step_end", step + 1)
    assert told.value("grpo_learner_idle_ratio") == pytest.approx(0.2)
    assert told.value("grpo_generator_idle_ratio") == 0
    progress = told.progress()["progress"]
    assert (progress["generatorSeconds"], progress["learningSeconds"]) == pytest.approx((10, 4))


def test_what_was_padding_stays_said_while_the_same_completions_are_learnt_from(told: Told) -> None:
    told.happen("on_train_begin", 0)
    mask = torch.tensor([[1, 1, 1, 0]])
    told.learner.padding.see({"prompt_mask": mask, "completion_mask": mask}, lambda own: own)
    for step in range(2):
        told.happen("on_step_begin", step)
        told.happen("on_step_end", step + 1)
        assert told.value("grpo_padding_ratio") == 0.25


def test_groups_that_taught_nothing_are_counted(told: Told) -> None:
    for outcome in ("replaced", "left"):
        assert told.value("grpo_dynamic_sampling_groups_total", outcome=outcome) == 0
    told.learner.take_refills = lambda: Counter(replaced=3, left=1, tokens=640)
    told.happen("on_train_begin", 0)
    for step in range(2):
        told.happen("on_step_begin", step)
        told.happen("on_step_end", step + 1)
    assert told.value("grpo_dynamic_sampling_groups_total", outcome="replaced") == 6
    assert told.value("grpo_dynamic_sampling_groups_total", outcome="left") == 2
    assert told.value("grpo_dynamic_sampling_tokens_total") == 1280


def test_a_wait_for_lost_generators_is_no_generation(
    told: Told, now: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    told.happen("on_train_begin", 0)
    monkeypatch.setattr(told.report.fleet, "take_waited_s", lambda: 7.0)
    for step in range(2):
        told.happen("on_step_begin", step)
        with told.learner.clock.phase(Phase.GENERATE):
            now(7)
            with told.report.fleet.asking():
                now(1)
        now(2)
        told.happen("on_step_end", step + 1)
    assert told.value("grpo_learner_idle_ratio") == pytest.approx(0.8)
    progress = told.progress()["progress"]
    assert (progress["generatorSeconds"], progress["learningSeconds"]) == pytest.approx((2, 2))


EVALUATED = {f"eval_{key}": value for key, value in LOGS.items()} | {
    "eval_reward": 0.25,
    "eval_rewards/accuracy/mean": 0.125,
    "eval_runtime": 12.5,
    "epoch": 0.5,
}


def test_an_evaluation_is_no_step(told: Told, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    report = EvaluationReport(told.learner.reward_func_names, told.metrics, told.board)
    told.happen("on_train_begin", 0)
    told.happen("on_log", 1, logs=LOGS)
    before = told.progress()
    told.happen("on_log", 1, logs=EVALUATED)
    told.happen("on_evaluate", 1, metrics=EVALUATED)
    args = SimpleNamespace(metric_for_best_model="reward")
    state = SimpleNamespace(global_step=1, max_steps=40, best_global_step=None, best_metric=None)
    report.on_evaluate(args, state, None, metrics=EVALUATED)
    told.happen("on_log", 2, logs=LOGS)
    assert told.value("grpo_reward") == 0.75
    assert told.value("grpo_eval_reward") == 0.25
    assert told.value("grpo_eval_reward_std") == 0.2
    assert told.value("grpo_eval_reward_func", reward_func="accuracy", stat="mean") == 0.125
    assert told.value("grpo_eval_completion_length_tokens", stat="max") == 48
    assert told.value("grpo_eval_completion_clipped_ratio") == 0.25
    assert told.value("grpo_eval_step") == 1
    assert told.value("grpo_phase_seconds_sum", phase="evaluate") == 12.5
    assert caplog.messages[-2] == "step 1/40  evaluation: reward 0.25  accuracy 0.125  length 30.5  12.5 s"
    evaluation = told.progress().pop("evaluation")
    assert evaluation.pop("time").endswith("Z")
    assert evaluation == {
        "step": 1, "reward": 0.25, "rewardStd": 0.2, "completionLength": 30.5, "rewards": {"accuracy": 0.125}
    }  # fmt: skip
    assert {key: value for key, value in told.progress().items() if key != "evaluation"} == before


def test_the_best_evaluation_is_told_once_it_is_compared(told: Told) -> None:
    def best_told() -> Any:
        return told.progress()["evaluation"].get("best")

    report = EvaluationReport(told.learner.reward_func_names, told.metrics, told.board)
    args = SimpleNamespace(metric_for_best_model="reward")
    state = SimpleNamespace(global_step=1, max_steps=40, best_global_step=None, best_metric=None)
    report.on_evaluate(args, state, None, metrics=EVALUATED)
    assert best_told() is None
    state.best_global_step, state.best_metric = 1, 0.25
    report.compared(args, state)
    assert best_told() == {"step": 1, "metric": "eval_reward", "value": 0.25}
    state.global_step = 2
    report.on_evaluate(args, state, None, metrics=EVALUATED | {"eval_reward": 0.5})
    assert best_told() == {"step": 1, "metric": "eval_reward", "value": 0.25}, "until it is compared with those before"


def test_the_pace_is_without_evaluations() -> None:
    pace = Pace(0.0)
    for end in (10.0, 20.0):
        pace.step_ended(end, 100, 0.0)
    pace.paused(50.0)
    pace.step_ended(80.0, 100, 0.0)
    assert (pace.seconds_per_step, pace.eta_s(3)) == (10.0, 30.0)


def test_a_step_that_learns_from_the_same_completions_again(told: Told, caplog: pytest.LogCaptureFixture) -> None:
    """With num_iterations, or more steps per generation than accumulated ones, TRL logs no rewards in each second step."""
    caplog.set_level("INFO")
    told.happen("on_log", 1, logs=LOGS)
    told.happen("on_log", 2, logs={"loss": -0.002, "grad_norm": 0.4, "kl": 0.02, "entropy": 1.25, "epoch": 0.5})
    assert told.value("grpo_loss") == -0.002
    assert told.value("grpo_kl") == 0.02
    assert told.value("grpo_reward") == 0.75
    assert told.value("grpo_reward_func", reward_func="accuracy", stat="mean") == 0.5
    metrics = told.progress()["metrics"]
    assert (metrics["loss"], metrics["kl"], metrics["reward"]) == (-0.002, 0.02, 0.75)
    assert caplog.messages[-1] == "step 2/40  kl 0.02  loss -0.002  entropy 1.25  0.0 s"


def test_the_summary_at_the_end_is_no_step(told: Told) -> None:
    told.happen("on_log", 1, logs=LOGS)
    told.happen("on_log", 1, logs={"train_runtime": 8.1, "train_loss": 0.5, "total_flos": 0.0, "epoch": 1.0})
    assert told.value("grpo_reward") == 0.75
    assert told.progress()["metrics"]["loss"] == 0.004


def test_the_first_step_says_nothing_of_the_time_that_is_left(told: Told) -> None:
    told.happen("on_train_begin", 0)
    told.happen("on_step_begin", 0)
    told.happen("on_step_end", 1)
    assert told.progress()["progress"].keys() == {"step", "maxSteps", "epoch", "secondsPerStep", "tokensPerSecond"}


def test_trls_log_becomes_gauges_and_progress(told: Told) -> None:
    told.happen("on_log", 7, logs=LOGS)
    assert told.value("grpo_reward") == 0.75
    assert told.value("grpo_kl") == 0.013
    assert told.value("grpo_reward_zero_std_ratio") == 0.125
    assert told.value("grpo_reward_func", reward_func="accuracy", stat="mean") == 0.5
    assert told.value("grpo_reward_func", reward_func="accuracy", stat="std") == 0.1
    assert told.value("grpo_reward_func", reward_func="mine:length", stat="mean") is None
    assert told.value("grpo_clip_ratio", bound="region") == 0.03
    assert told.value("grpo_completion_length_tokens", stat="max") == 48
    assert told.value("grpo_sampling_logp_difference", stat="max") == 1e-6
    assert told.value("grpo_importance_sampling_ratio", stat="min") == 0.9
    assert told.progress()["metrics"] == {
        "reward": 0.75,
        "rewardStd": 0.2,
        "kl": 0.013,
        "loss": 0.004,
        "entropy": 1.5,
        "completionLength": 30.5,
        "samplingLogpDifferenceMax": 1e-6,
        "rewards": {"accuracy": 0.5},
    }


def test_the_line_in_the_log(told: Told, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    told.report.seconds = 1.94
    told.happen("on_log", 7, logs=LOGS)
    assert caplog.messages == [
        "step 7/40  reward 0.75  accuracy 0.5  kl 0.013  loss 0.004  entropy 1.5  length 30.5  "
        "logp difference 1e-06  1.9 s"
    ]


def test_without_beta_there_is_no_kl(told: Told) -> None:
    told.happen("on_log", 7, logs={key: value for key, value in LOGS.items() if key != "kl"})
    assert told.value("grpo_kl") is None
    assert "kl" not in told.progress()["metrics"]


def test_the_summary_at_the_end_changes_nothing(told: Told) -> None:
    told.happen("on_log", 7, logs=LOGS)
    told.happen("on_log", 7, logs={"train_runtime": 12.0, "train_loss": 3.0})
    assert told.progress()["metrics"]["loss"] == 0.004


@pytest.mark.parametrize("event", ["on_save", "on_train_begin"])
def test_the_newest_checkpoint_is_told(told: Told, event: str) -> None:
    marker = Marker(step=30, max_steps=40, time="1970-01-01T00:01:00Z", for_recovery=True, for_recipe=False)
    told.keeper.newest = Checkpoint(Path(), marker)
    told.happen(event, 30)
    assert told.value("grpo_checkpoint_step") == 30
    assert told.value("grpo_checkpoint_timestamp_seconds") == 60
    assert told.progress()["checkpoint"] == {"step": 30, "time": "1970-01-01T00:01:00Z"}


def test_a_damaged_checkpoint_is_told_until_somebody_has_heard_of_it(told: Told) -> None:
    damaged = CheckpointHealth(trouble=CheckpointTrouble.DAMAGED, message="checkpoint-4 is not as it was written.")
    told.board.update(checkpoint_health=damaged)
    told.happen("on_save", 30)
    assert told.board.read().checkpoint_health == damaged
    assert told.board.hand_out().checkpoint_health == damaged
    told.happen("on_save", 30)
    assert told.board.read().checkpoint_health == CheckpointHealth()


def test_that_one_was_not_written_is_told_until_another_is(told: Told) -> None:
    unwritten = CheckpointHealth(
        trouble=CheckpointTrouble.NOT_WRITTEN, message="The checkpoint of step 4 was not written."
    )
    told.board.update(checkpoint_health=unwritten)
    told.happen("on_save", 30)
    assert told.board.read().checkpoint_health == CheckpointHealth()


def test_the_room_on_the_volume_is_told(told: Told) -> None:
    told.happen("on_save", 30)
    size, available = (told.value(f"grpo_volume_{what}_bytes") for what in ("size", "available"))
    assert size
    assert available
    assert available < size


def test_what_rewards_cost_is_told_before_it_can_end_the_run(told: Told) -> None:
    told.happen("on_train_begin", 0)
    told.happen("on_step_begin", 0)
    told.learner.watch.count("accuracy", [Mishap(RewardError.EXCEPTION, "ValueError: no")] * 2)
    told.learner.watch.see([told.learner.watch.take_batch()], 1.0, is_training=True)
    told.learner.scored()
    assert told.value("grpo_reward_errors_total", reward_func="accuracy", reason=RewardError.EXCEPTION) == 2
    assert told.progress()["rewardHealth"] == {"errorShare": 0.2, "lastError": "accuracy: Exception: ValueError: no"}


def test_a_checkpoints_seconds_are_there_when_it_is_saved(told: Told, now: Callable[[float], None]) -> None:
    """No step comes after the last one."""
    for step, seconds in ((20, 7), (40, 5)):
        with told.learner.clock.phase(Phase.CHECKPOINT):
            now(seconds)
        told.happen("on_save", step)
    assert told.value("grpo_phase_seconds_count", phase=Phase.CHECKPOINT) == 2
    assert told.value("grpo_phase_seconds_sum", phase=Phase.CHECKPOINT) == 12


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    time = [0.0]
    monkeypatch.setattr("grpo_trainer.instruments.phases.time.perf_counter", lambda: time[0])

    def pass_(seconds: float) -> None:
        time[0] += seconds

    return pass_


def test_what_is_no_other_phase_is_learning(now: Callable[[float], None]) -> None:
    clock = PhaseClock()
    clock.start_step()
    with clock.phase(Phase.WEIGHT_SYNC):
        now(1)
    with clock.phase(Phase.GENERATE):
        now(5)
        with clock.phase(Phase.REWARD):
            now(2)
    now(10)
    elapsed, phases = clock.end_step(waited_s=4)
    assert elapsed == 18
    assert phases == {
        Phase.WEIGHT_SYNC: 1,
        Phase.GENERATE: 1,
        Phase.REWARD: 2,
        Phase.WAIT: 4,
        Phase.LEARN: 10,
    }


def test_a_checkpoint_between_steps_is_no_part_of_the_next(now: Callable[[float], None]) -> None:
    clock = PhaseClock()
    with clock.phase(Phase.CHECKPOINT):
        now(7)
    assert clock.take(Phase.CHECKPOINT) == 7
    clock.start_step()
    now(3)
    assert clock.end_step(waited_s=0) == (3, {Phase.GENERATE: 0, Phase.WAIT: 0, Phase.LEARN: 3})


def test_the_pace_is_that_of_the_last_ten_steps() -> None:
    pace = Pace(started=0.0)
    for step in range(1, 21):
        pace.step_ended(100.0 * step, 50, waited_s=0)
    assert (pace.seconds_per_step, pace.tokens_per_second, pace.eta_s(5)) == (100.0, 0.5, 500.0)
    for step in range(1, 11):
        pace.step_ended(2000.0 + 2 * step, 50, waited_s=0)
    assert (pace.seconds_per_step, pace.tokens_per_second, pace.eta_s(5)) == (2.0, 25.0, 10.0)


def test_a_first_step_that_waited_for_generators_is_no_pace_for_the_others() -> None:
    pace = Pace(started=0.0)
    assert (pace.seconds_per_step, pace.tokens_per_second, pace.eta_s(39)) == (None, None, None)
    pace.step_ended(100.0, 50, waited_s=0)
    assert (pace.seconds_per_step, pace.tokens_per_second, pace.eta_s(39)) == (100.0, 0.5, None)
    pace.step_ended(102.0, 50, waited_s=0)
    assert (pace.seconds_per_step, pace.tokens_per_second, pace.eta_s(38)) == (2.0, 25.0, 76.0)
    pace.step_ended(106.0, 50, waited_s=0)
    assert (pace.seconds_per_step, pace.eta_s(37)) == (3.0, 111.0)


def test_a_wait_for_generators_is_no_part_of_the_pace() -> None:
    pace = Pace(started=0.0)
    for now, waited_s in ((10.0, 0), (12.0, 0), (74.0, 60), (76.0, 0)):
        pace.step_ended(now, 50, waited_s=waited_s)
    assert (pace.seconds_per_step, pace.tokens_per_second, pace.eta_s(5)) == (2.0, 25.0, 10.0)


def test_stages_and_parts_change_without_touching_each_other() -> None:
    board = ProgressBoard(2)
    before = board.read()
    board.update_part("progress", step=3)
    board.update(stage=Stage.SAVING)
    assert (before.progress.step, before.stage) == (0, Stage.LOADING)
    assert (board.read().progress.step, board.read().stage, board.read().attempt) == (3, Stage.SAVING, 2)


CARD_RECIPE = {"model_name_or_path": "org/base", "dataset_name": "/volume/train.jsonl", "reward_funcs": ["accuracy"]}


def card_state(history: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"global_step": 40, "max_steps": 40, "log_history": history, "stateful_callbacks": {}} | more


def test_the_model_card_tells_the_last_step() -> None:
    history: list[dict[str, Any]] = [{**LOGS, "step": 39}, {**LOGS, "step": 40}, {"train_runtime": 1.0, "step": 40}]
    card = model_card("demo", CARD_RECIPE, card_state(history), 40)
    front, _, rest = card.partition("---\n\n")
    assert "base_model: org/base" in front
    assert "datasets" not in front  # a path is no id on the hub
    assert rest.startswith(
        "# demo\n\n`org/base`, trained with GRPO on `/volume/train.jsonl` for the rewards accuracy.\n\nAfter step 40:\n"
    )
    assert "| KL divergence | 0.013 |" in rest
    assert "| accuracy | 0.5 |" in rest
    assert '"dataset_name": "/volume/train.jsonl"' in rest


def test_the_model_card_tells_of_a_base_in_4_bit() -> None:
    _, _, rest = model_card("demo", CARD_RECIPE | {"load_in_4bit": True}, card_state([]), 40).partition("---\n\n")
    assert rest.split("\n\n")[2] == (
        "It is an adapter of that model in 4 bit, quantised as `quantization_config.json` says; on the unquantised one it gives "
        "other answers."
    )


def test_the_model_card_tells_of_an_early_end_and_of_the_best_step() -> None:
    history = [
        {**LOGS, "step": 20, "reward": 0.25},
        {**EVALUATED, "step": 20, "eval_reward": 0.5},
        {**LOGS, "step": 30},
        {**EVALUATED, "step": 30, "eval_reward": 0.375},
        {**EVALUATED, "step": 20, "eval_reward": 0.4375},  # of the trained model, once more
    ]
    why = "eval_reward did not rise above its best, 0.5, in the last evaluation"
    stopped = {"EarlyStopping": {"args": {}, "attributes": {"ended_early": why}}}
    state = card_state(history, global_step=30, stateful_callbacks=stopped, best_metric=0.5)
    _, _, rest = model_card("demo", CARD_RECIPE | {"metric_for_best_model": "reward"}, state, 20).partition("---\n\n")
    assert rest.split("\n\n")[2:5] == [
        f"Training ended early, at step 30 of 40: {why}.",
        "Of the 30 steps made, the weights are those of step 20, the best by its evaluation: eval_reward 0.5.",
        "After step 20:",
    ]
    assert "| reward | 0.25 |" in rest
    assert "| reward | 0.4375 |" in rest
    assert "0.375" not in rest


def test_the_model_card_names_each_remote_reward_by_its_label() -> None:
    recipe = CARD_RECIPE | {"reward_funcs": ["https://host/score_a", "https://host/score_b"]}
    step = {"step": 40, "reward": 0.75, "rewards/host/score_a/mean": 0.5, "rewards/host/score_b/mean": 0.25}
    card = model_card("demo", recipe, card_state([step]), 40)
    assert "for the rewards host/score_a, host/score_b." in card
    assert "| host/score_a | 0.5 |\n| host/score_b | 0.25 |" in card
    assert "https://" not in card


def test_the_model_card_names_each_data_set_of_a_mixture_once() -> None:
    entries = [{"id": "org/a"}, {"id": "/volume/b.jsonl"}, {"id": "org/c"}, {"id": "org/a", "config": "hard"}]
    recipe = CARD_RECIPE | {"dataset_name": None, "dataset_mixture": {"datasets": entries}}
    card = model_card("demo", recipe, card_state([]), 40)
    assert "\ndatasets: [org/a, org/c]\n" in card
    assert "`org/base`, trained with GRPO on `org/a`, `/volume/b.jsonl`, `org/c` for the rewards accuracy." in card
