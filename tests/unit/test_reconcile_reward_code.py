"""A ConfigMap of rewards.from that does not exist: what is said, what waits, and what goes on."""

from typing import Any

import pytest

from grpo_operator.api.status import ConditionType, Phase
from grpo_operator.reconcile.events import events_of
from grpo_operator.reconcile.reward_code import config_maps_to_look_for
from grpo_operator.reconcile.world import sort_children
from unit.desired_inputs import make_run
from unit.observed_inputs import (
    EVERYTHING,
    NAME,
    look,
    make_condition,
    make_deployment,
    make_job,
    make_pod,
    message,
    said,
    then,
    with_conditions,
    written,
)

REWARDS: dict[str, Any] = {
    "from": [{"path": "/volume/rewards"}, {"configMap": {"name": "mine"}}, {"configMap": {"name": "ours"}}]
}
SENTENCE = (
    "spec.rewards.from[1].configMap.name 'mine': namespace 'team' has no ConfigMap of that name; create it, and the run "
    "goes on."
)
ACCEPTED, LEARNERS = ConditionType.ACCEPTED, ConditionType.LEARNERS_READY


def test_nothing_starts_without_it() -> None:
    run = make_run(rewards=REWARDS)
    plan = look(run, missing_config_maps=("mine",))
    assert written(plan) == set()
    assert said(plan, ACCEPTED) == ("False", "RewardCodeNotFound")
    assert message(plan, ACCEPTED) == SENTENCE
    assert plan.status.phase is Phase.PENDING
    assert plan.status.started_at is None
    assert plan.look_again_s == 5
    (event,) = events_of(run, plan.status)
    assert (event.type, event.reason, event.note) == ("Warning", "RewardCodeNotFound", SENTENCE)


def test_when_it_is_there_the_run_starts() -> None:
    run = make_run(rewards=REWARDS)
    plan = look(then(run, look(run, missing_config_maps=("mine",))))
    assert written(plan) == EVERYTHING
    assert said(plan, ACCEPTED) == ("True", "Accepted")


def test_the_next_attempt_waits_for_it_too() -> None:
    """The generators stay, and the condition of the learners tells."""
    accepted = make_condition(ACCEPTED, "True", "Accepted")
    run = with_conditions(make_run(rewards=REWARDS), accepted, attempt=2, started_at="2026-06-01T12:00:00Z")
    plan = look(run, make_deployment(), make_pod("generator", ready=True), missing_config_maps=("mine",))
    assert f"Job/{NAME}-learner-2" not in written(plan)
    assert plan.delete == ()
    assert said(plan, ACCEPTED) == ("True", "Accepted")
    assert said(plan, LEARNERS) == ("False", "RewardCodeNotFound")
    assert message(plan, LEARNERS) == SENTENCE
    assert said(plan, ConditionType.GENERATORS_READY) == ("True", "AllReady")
    assert said(plan, ConditionType.PROGRESSING) == ("False", "RewardCodeNotFound")
    assert f"Job/{NAME}-learner-2" in written(look(run, make_deployment(), make_pod("generator", ready=True)))


@pytest.mark.parametrize(("attempt", "expected"), [(1, []), (2, ["mine", "ours"])])
def test_it_is_looked_for_before_the_learners_of_an_attempt_are_made(attempt: int, expected: list[str]) -> None:
    run = make_run(rewards=REWARDS)
    children = sort_children(run, [make_job(attempt=1)], attempt)
    assert config_maps_to_look_for(run, children) == expected


def test_a_run_that_names_none_asks_for_none() -> None:
    run = make_run()
    assert config_maps_to_look_for(run, sort_children(run, [], 1)) == []
