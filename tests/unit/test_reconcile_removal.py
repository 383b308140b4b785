"""Looks at a run that is to be removed some time after its end."""

from datetime import timedelta
from typing import Any

import pytest

from grpo_contract.labels import Role
from grpo_operator.api.run import GRPORun
from grpo_operator.api.status import ConditionType, Phase
from grpo_operator.reconcile.world import Refusal
from unit.benchmark_inputs import benchmark_job, benchmarked_run, entry
from unit.benchmark_inputs import look as look_with_benchmarks
from unit.desired_inputs import make_run
from unit.observed_inputs import (
    NOW,
    ago,
    failed_learner,
    job_condition,
    look,
    make_condition,
    make_deployment,
    make_job,
    make_pod,
    said,
    then,
    with_conditions,
)

SUCCEEDED, FAILED = ConditionType.SUCCEEDED, ConditionType.FAILED
KEPT_S = 600
AT_WORK = make_job(), make_pod(ready=True)


def ended_run(ended_s: float, kind: ConditionType = SUCCEEDED, reason: str = "Completed", **spec: Any) -> GRPORun:
    """`ended_s`: seconds ago."""
    run = make_run(**{"ttlSecondsAfterFinished": KEPT_S} | spec)
    status = {"started_at": ago(9000), "finished_at": ago(ended_s), "phase": Phase(kind.value)}
    return with_conditions(run, make_condition(kind, "True", reason, ended_s), **status)


@pytest.mark.parametrize(
    ("run", "is_removed", "look_again_s"),
    [
        (ended_run(599), False, 1),
        (ended_run(600), True, 0),
        (ended_run(9000), True, 0),
        (ended_run(600, FAILED, "DatasetNotFound"), True, 0),
        (ended_run(600, FAILED, "MaxRestartsExceeded", maxRestarts=0), True, 0),
        (ended_run(0, ttlSecondsAfterFinished=0), True, 0),
        (ended_run(9000, ttlSecondsAfterFinished=None), False, None),
    ],
)
def test_when_it_is_removed(run: GRPORun, is_removed: bool, look_again_s: float | None) -> None:
    plan = look(run)
    assert (plan.removes_run, plan.look_again_s, plan.write) == (is_removed, look_again_s, ())
    assert plan.status.conditions == run.status.conditions


@pytest.mark.parametrize(
    "run", [make_run(ttlSecondsAfterFinished=0), make_run(ttlSecondsAfterFinished=0, suspend=True)]
)
def test_a_run_that_goes_on_stays(run: GRPORun) -> None:
    run = then(run, look(run, *AT_WORK))
    assert not look(run, *AT_WORK, now=NOW + timedelta(days=9)).removes_run


def test_its_end_is_on_record_and_told_first() -> None:
    run = make_run(ttlSecondsAfterFinished=0)
    job, pod = make_job(conditions=(job_condition("Complete"),)), make_pod(phase="Succeeded")
    plan = look(run, job, pod, make_deployment())
    assert (plan.status.phase, plan.removes_run, plan.look_again_s) == (Phase.SUCCEEDED, False, 0)
    plan = look(then(run, plan), job, pod, make_deployment())
    assert (plan.removes_run, [child.kind for child in plan.delete]) == (True, ["Deployment"])


def test_learners_that_are_out_of_time_save_before_it_goes() -> None:
    run = ended_run(2, FAILED, "DeadlineExceeded", ttlSecondsAfterFinished=0)
    saving = make_pod(deletionTimestamp=ago(-20), deletionGracePeriodSeconds=30)
    assert not look(run, *AT_WORK).removes_run
    plan = look(run, saving)
    assert (plan.removes_run, plan.look_again_s) == (False, 80)
    assert look(run, make_pod(phase="Failed")).removes_run


def test_a_run_that_goes_on_after_all_stays() -> None:
    run = ended_run(9000, FAILED, "MaxRestartsExceeded", maxRestarts=1)
    plan = look(run, make_job(conditions=(job_condition("Failed"),)), failed_learner())
    assert (plan.status.phase, plan.removes_run) == (Phase.RESTARTING, False)
    assert not look(then(run, plan)).removes_run


def run_with_benchmark(phase: str) -> GRPORun:
    run = benchmarked_run()
    run = run.model_copy(update={"spec": run.spec.model_copy(update={"ttl_seconds_after_finished": KEPT_S})})
    status = ended_run(9000).status.model_copy(update={"benchmarks": [entry("checkpoint-50", 50, phase)]})
    return run.model_copy(update={"status": status})


@pytest.mark.parametrize("phase", ["Pending", "Running"])
def test_a_benchmark_is_waited_for(phase: str) -> None:
    run = run_with_benchmark(phase)
    children = [benchmark_job("checkpoint-50")] if phase == "Running" else []
    assert not look_with_benchmarks(run, *children).removes_run
    done = run.status.model_copy(update={"benchmarks": [entry("checkpoint-50", 50, "Failed", message="No.")]})
    assert look_with_benchmarks(run.model_copy(update={"status": done})).removes_run


def test_a_benchmark_that_is_refused_is_waited_for() -> None:
    run = run_with_benchmark("Pending")
    refusal = Refusal("ChildRefused", "A quota.", Role.BENCHMARK)
    plan = look_with_benchmarks(run, refusals=(refusal,))
    assert (said(plan, ConditionType.BENCHMARKED), plan.removes_run) == (("False", "ChildRefused"), False)
    taken = benchmark_job("checkpoint-50", uid="of another run")
    plan = look_with_benchmarks(run, taken)
    assert (said(plan, ConditionType.BENCHMARKED), plan.removes_run) == (("False", "NameTaken"), False)
