"""Generators that the kubelet holds back, and a new pod replaces."""

from datetime import timedelta
from typing import Any

import pytest

from grpo_contract.progress import GeneratorProgress, Progress, Stage
from grpo_operator.reconcile.observed import ObservedPod
from grpo_operator.reconcile.plan import Plan
from grpo_operator.reconcile.world import Reading
from unit.desired_inputs import make_run
from unit.observed_inputs import (
    NOW,
    ago,
    container,
    ended,
    look,
    make_job,
    make_pod,
)


def told(completions: int, name: str = "math-generator-x-0") -> Reading:
    generator = GeneratorProgress(name=name, in_sync=False, completions=completions)
    return Reading(Progress(attempt=1, stage=Stage.TRAINING, generators=[generator]))


def generator(
    reason: str | None = "CrashLoopBackOff", name: str = "generator", restarts: int = 3, **metadata: Any
) -> ObservedPod:
    state = {"waiting": {"reason": reason}} if reason else {"running": {"startedAt": ago(5)}}
    return make_pod("generator", containers=(container(name, restarts, ended(137), **state),), **metadata)


BACKED_OFF: dict[str, tuple[ObservedPod, Reading, bool]] = {
    "it has worked": (generator(), told(8), True),
    "not as long as it is held back for a moment": (generator(restarts=2), told(8), False),
    "not when it never has": (generator(), told(0), False),
    "not when another has": (generator(), told(8, "math-generator-x-9"), False),
    "not when learners do not tell": (generator(), Reading(), False),
    "not when it runs again": (generator(None), told(8), False),
    "not for an image that cannot be had": (generator("ImagePullBackOff"), told(8), False),
    "not for another container of its pod": (generator(name="proxy"), told(8), False),
    "not when it is on its way out": (generator(deletionTimestamp=ago(-5)), told(8), False),
}


@pytest.mark.parametrize("case", BACKED_OFF)
def test_a_generator_that_has_worked_is_replaced_instead_of_waited_for(case: str) -> None:
    pod, reading, is_replaced = BACKED_OFF[case]
    plan: Plan = look(
        make_run(), make_job(), make_pod(ready=True), pod, reading=reading, now=NOW + timedelta(seconds=1)
    )
    assert plan.delete == ((pod,) if is_replaced else ())
