"""Looks at a run: what is said of its reward functions."""

import pytest

from grpo_contract.failure import USER_ERROR_EXIT_CODE, PodReason
from grpo_contract.progress import Progress, RewardHealth, Stage
from grpo_operator.api.status import ConditionType, Phase
from grpo_operator.desired.config import run_config
from grpo_operator.reconcile.events import events_of
from grpo_operator.reconcile.observed import ObservedChild
from grpo_operator.reconcile.world import Reading
from unit.desired_inputs import make_run, make_settings
from unit.observed_inputs import (
    TRAINING,
    failed_learner,
    failure_text,
    job_condition,
    look,
    make_job,
    make_pod,
    message,
    said,
    then,
)

HEALTHY = ConditionType.REWARDS_HEALTHY
SENTENCE = (
    "spec.rewards.maxErrorShare: 100 % of the completions; the last error: mine:f: Exception: ValueError: no judge."
)


def told(health: RewardHealth | None) -> Reading:
    return Reading(TRAINING.model_copy(update={"reward_health": health}))


def failing() -> tuple[ObservedChild, ...]:
    text = failure_text(PodReason.REWARDS_FAILING, SENTENCE)
    learner = failed_learner(exit_code=USER_ERROR_EXIT_CODE, text=text)
    return make_job(conditions=(job_condition("FailureTarget", reason="PodFailurePolicy"),)), learner


@pytest.mark.parametrize(
    ("health", "words"),
    [
        (
            RewardHealth(error_share=0),
            "0 % of the completions of the last 5 steps have no reward because a reward function failed.",
        ),
        (
            RewardHealth(error_share=0.0123, last_error="accuracy: Timeout: a call did not end within 60 s"),
            "1.23 % of the completions of the last 5 steps have no reward because a reward function failed. "
            "The last error: accuracy: Timeout: a call did not end within 60 s.",
        ),
    ],
)
def test_they_are_healthy_once_steps_are_made(health: RewardHealth, words: str) -> None:
    plan = look(make_run(), make_job(), make_pod(ready=True), reading=told(health))
    assert said(plan, HEALTHY) == ("True", "Scoring")
    assert message(plan, HEALTHY) == words


def test_nothing_is_said_before_the_first_step_or_of_learners_that_do_not_tell() -> None:
    plan = look(make_run(), make_job(), make_pod(ready=True), reading=told(None))
    assert said(plan, HEALTHY) is None


def test_what_was_said_holds_until_the_next_attempt_tells() -> None:
    run = make_run()
    run = then(run, look(run, make_job(), make_pod(ready=True), reading=told(RewardHealth(error_share=0.1))))
    loading = Reading(Progress(attempt=2, stage=Stage.LOADING))
    plan = look(run, make_job(2), make_pod(attempt=2, ready=True), reading=loading)
    assert said(plan, HEALTHY) == ("True", "Scoring")


@pytest.mark.parametrize("was_healthy", [False, True])
def test_a_run_whose_rewards_fail_has_failed(was_healthy: bool) -> None:
    """There may be restarts left: another attempt would mostly end the same way."""
    run = make_run(maxRestarts=5)
    if was_healthy:
        run = then(run, look(run, make_job(), make_pod(ready=True), reading=told(RewardHealth(error_share=0.1))))
    plan = look(run, *failing())
    assert plan.status.phase is Phase.FAILED
    assert said(plan, ConditionType.FAILED) == ("True", "RewardsFailing")
    assert said(plan, HEALTHY) == ("False", "RewardsFailing")
    assert message(plan, HEALTHY) == SENTENCE
    assert message(plan, ConditionType.FAILED).startswith(f"{SENTENCE} To try again, ")
    failure = plan.status.last_failure
    assert failure is not None
    assert (failure.attempt, failure.reason, failure.message) == (1, "RewardsFailing", SENTENCE)
    assert [(event.type, event.reason) for event in events_of(run, plan.status)] == [("Warning", "RewardsFailing")]
    cleared = look(then(run, plan), *failing())
    assert said(cleared, HEALTHY) == ("False", "RewardsFailing")


def test_an_end_for_another_reason_leaves_it_as_it_was() -> None:
    run = make_run(maxRestarts=0)
    run = then(run, look(run, make_job(), make_pod(ready=True), reading=told(RewardHealth(error_share=0.1))))
    plan = look(run, make_job(conditions=(job_condition("Failed"),)), failed_learner())
    assert plan.status.phase is Phase.FAILED
    assert said(plan, HEALTHY) == ("True", "Scoring")


def test_it_stands_before_the_end_in_the_list() -> None:
    plan = look(make_run(), *failing())
    assert [condition.type for condition in plan.status.conditions][-2:] == [HEALTHY, ConditionType.FAILED]


def test_learners_are_told_the_limits() -> None:
    config = run_config(make_run(rewards={"timeoutSeconds": 300, "maxErrorShare": 0.5}), make_settings())
    assert (config.rewards.timeout_s, config.rewards.max_error_share) == (300, 0.5)
    plain = run_config(make_run(), make_settings())
    assert (plain.rewards.timeout_s, plain.rewards.max_error_share) == (60, 0.2)
    assert plain.deadlines.scoring_s < plain.deadlines.collective_s
