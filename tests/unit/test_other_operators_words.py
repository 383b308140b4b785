"""What a newer operator wrote into a run and this one does not know, after a rollback, keeps no look from being made."""

from typing import Any

import pytest

from grpo_operator.api.run import GRPORun
from grpo_operator.api.status import ConditionType, Phase
from unit.desired_inputs import make_run
from unit.observed_inputs import ago, all_children, look, make_deployment, message, said, then, written

ACCEPTED, FAILED = ConditionType.ACCEPTED, ConditionType.FAILED


def condition(kind: str, status: str = "True", reason: str = "Whatever") -> dict[str, Any]:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": "m",
        "observedGeneration": 1,
        "lastTransitionTime": ago(0),
    }


def with_status(run: GRPORun, **status: Any) -> GRPORun:
    """Read as it was stored."""
    return GRPORun.parse(run.model_dump(mode="json", by_alias=True) | {"status": status})


STORED: dict[str, tuple[dict[str, Any], Phase]] = {
    "a condition": ({"phase": "Starting", "conditions": [condition("Evaluated"), condition("Accepted")]}, Phase.STARTING),
    "only a condition": ({"phase": "Pending", "conditions": [condition("Evaluated")]}, Phase.STARTING),
    "a phase": ({"phase": "Evaluating", "conditions": [condition("Accepted")]}, Phase.STARTING),
    "a phase of an ended run": ({"phase": "Archived", "conditions": [condition("Failed")]}, Phase.FAILED),
    "a field": ({"phase": "Starting", "evaluations": 3}, Phase.STARTING),
    "a reason": ({"phase": "Starting", "conditions": [condition("Progressing", "False", "Evaluating")]}, Phase.STARTING),
}  # fmt: skip


@pytest.mark.parametrize("case", STORED)
def test_a_status_of_a_newer_operator_is_read_and_made_anew(case: str) -> None:
    stored, phase = STORED[case]
    plan = look(with_status(make_run(), **stored))
    assert plan.status.phase is phase
    assert {entry.type for entry in plan.status.conditions} <= set(ConditionType)


class TestUnknownEra:
    def test_nothing_is_started_and_the_field_is_named(self) -> None:
        plan = look(make_run(recipeDefaults="trl-2.0"))
        assert written(plan) == set()
        assert said(plan, ACCEPTED) == ("False", "UnknownRecipeDefaults")
        assert message(plan, ACCEPTED) == (
            "spec.recipeDefaults is 'trl-2.0', which this operator does not know: set it to one of trl-0.14, trl-0.16, "
            "trl-0.18, current, or install an operator that knows it. Until then it leaves everything of this run as it is."
        )
        assert plan.status.phase is Phase.PENDING

    def test_a_run_that_goes_on_is_left_alone_and_taken_up_again(self) -> None:
        known, unknown = make_run(), make_run(recipeDefaults="trl-2.0")
        started = then(unknown, look(known))
        plan = look(started, make_deployment(), *all_children(known))
        assert (written(plan), plan.delete) == (set(), ())
        assert said(plan, ACCEPTED) == ("False", "UnknownRecipeDefaults")
        again = look(then(known, plan), *all_children(known))
        assert said(again, ACCEPTED) == ("True", "Accepted")

    def test_an_ended_run_gives_back_what_it_holds(self) -> None:
        ended = with_status(make_run(recipeDefaults="trl-2.0"), phase="Failed", conditions=[condition("Failed")])
        deployment = make_deployment()
        plan = look(ended, deployment)
        assert plan.delete == (deployment,)
        assert said(plan, FAILED) == ("True", "Whatever")
