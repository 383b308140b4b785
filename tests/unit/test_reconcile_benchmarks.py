"""Looks at a run: which of its models are benchmarked when, and what is said of it."""

from datetime import timedelta
from typing import Any

import pytest

from grpo_contract.labels import Role
from grpo_contract.progress import BestEvaluation, EvaluationProgress, Progress, Stage, Steps
from grpo_operator.api.run import GRPORun
from grpo_operator.api.status import ConditionType, Phase
from grpo_operator.reconcile.benchmarks import MOST_ENTRIES
from grpo_operator.reconcile.events import events_of
from grpo_operator.reconcile.world import Refusal
from unit.benchmark_inputs import (
    BENCHMARKS,
    FOLDER,
    benchmark_job,
    benchmark_pod,
    benchmarked_run,
    entries_of,
    entry,
    jobs_in,
    look,
    pod_with_scores,
    telling,
    with_status,
)
from unit.desired_inputs import make_run, make_settings
from unit.observed_inputs import (
    NOW,
    ago,
    container,
    ended,
    job_condition,
    make_condition,
    make_job,
    make_pod,
    message,
    no_room,
    said,
    then,
)

BENCHMARKED = ConditionType.BENCHMARKED
AT_WORK = (make_job(), make_pod(ready=True))
COMPLETE = job_condition("Complete", 10, "CompletionsReached")
SCORES = {"math_500|0": {"pass@1": 0.75}}


def succeeded(run: GRPORun, step: int = 100, **status: Any) -> GRPORun:
    condition = make_condition(ConditionType.SUCCEEDED, "True", "Completed")
    fields = {"conditions": [condition], "progress": Steps(step=step, max_steps=step), "model": f"{FOLDER}/model"}
    return with_status(run, **fields | status)


def notes(run: GRPORun, plan: Any) -> list[tuple[str, str, str]]:
    return [(event.type, event.reason, event.note) for event in events_of(run, plan.status)]


def test_a_recipe_without_benchmarks_has_none() -> None:
    plan = look(with_status(make_run()), *AT_WORK, reading=telling(50))
    assert said(plan, BENCHMARKED) is None
    assert (plan.status.benchmarks, jobs_in(plan)) == ([], [])


def test_nothing_to_benchmark_yet() -> None:
    plan = look(with_status(benchmarked_run()), *AT_WORK, reading=telling())
    assert said(plan, BENCHMARKED) == ("False", "NothingToBenchmark")
    assert jobs_in(plan) == []


def test_an_operator_without_an_image_says_so_and_the_run_goes_on() -> None:
    run = with_status(benchmarked_run(benchmarks=["unheard_of"]))
    plan = look(run, *AT_WORK, reading=telling(50), settings=make_settings())
    assert said(plan, ConditionType.ACCEPTED) == ("True", "Accepted")
    assert said(plan, BENCHMARKED) == ("False", "NoBenchmarkImage")
    assert message(plan, BENCHMARKED) == (
        "spec.recipe.benchmarks asks for benchmarks, and this operator has no image for them: have benchmarks.image set in the "
        "values of its chart, or leave benchmarks out. The run goes on without."
    )
    assert ("Warning", "NoBenchmarkImage", message(plan, BENCHMARKED)) in notes(run, plan)
    assert (plan.status.benchmarks, jobs_in(plan)) == ([], [])


def test_a_benchmark_that_the_chart_lacks_is_refused_before_anything_starts() -> None:
    run = benchmarked_run(benchmarks=["math_500", "math500"])
    plan = look(run)
    assert said(plan, ConditionType.ACCEPTED) == ("False", "UnknownBenchmark")
    assert message(plan, ConditionType.ACCEPTED) == (
        "spec.recipe.benchmarks holds 'math500', but the operator's chart has the benchmarks math_500, aime24; take one of "
        "these, or have it added to benchmarks.tasks there."
    )
    assert plan.write == ()
    started = look(with_status(run), *AT_WORK, reading=telling())
    assert said(started, ConditionType.ACCEPTED) == ("True", "Accepted"), "the chart changed under the run"


def test_one_at_a_time_the_oldest_first() -> None:
    run = with_status(benchmarked_run())
    first = look(run, *AT_WORK, reading=telling(50, 100))
    assert entries_of(first) == {"checkpoint-50": "Pending", "checkpoint-100": "Pending"}
    assert jobs_in(first) == ["math-benchmark-50"]
    second = look(then(run, first), *AT_WORK, benchmark_job("checkpoint-50"), reading=telling(50, 100))
    assert entries_of(second) == {"checkpoint-50": "Running", "checkpoint-100": "Pending"}
    assert jobs_in(second) == []
    assert said(second, BENCHMARKED) == ("False", "BenchmarkRunning")
    assert message(second, BENCHMARKED) == "0 of 2 models are benchmarked. checkpoint-50 is being benchmarked."
    done = (benchmark_job("checkpoint-50", conditions=(COMPLETE,)), pod_with_scores("checkpoint-50", SCORES))
    third = look(then(run, second), *AT_WORK, *done, reading=telling(100))
    assert entries_of(third) == {"checkpoint-50": "Succeeded", "checkpoint-100": "Pending"}
    assert third.status.benchmarks[0].scores == SCORES
    assert jobs_in(third) == ["math-benchmark-100"]
    assert ("Normal", "BenchmarkSucceeded", "checkpoint-50: math_500|0 pass@1 0.75.") in notes(then(run, second), third)


def test_scores_are_rounded() -> None:
    run = with_status(benchmarked_run(), benchmarks=[entry("checkpoint-50", 50, "Running")])
    plan = look(run, *AT_WORK, benchmark_job("checkpoint-50"), pod_with_scores("checkpoint-50", {"a": {"b": 2 / 3}}))
    assert plan.status.benchmarks[0].scores == {"a": {"b": 0.6667}}


def test_what_was_found_stays_when_the_job_is_gone() -> None:
    entries = [
        entry("checkpoint-50", 50, "Succeeded", scores=SCORES),
        entry("checkpoint-80", 80, "Failed", message="m"),
    ]
    plan = look(with_status(benchmarked_run(), benchmarks=entries), *AT_WORK, reading=telling(80))
    assert plan.status.benchmarks == entries
    assert jobs_in(plan) == []
    assert said(plan, BENCHMARKED) == ("False", "BenchmarkFailed")
    assert message(plan, BENCHMARKED) == "1 of 2 models are benchmarked. 1 failed. checkpoint-80: m"


def test_a_job_that_somebody_removed_is_made_again() -> None:
    run = with_status(benchmarked_run(), benchmarks=[entry("checkpoint-50", 50, "Running")])
    assert jobs_in(look(run, *AT_WORK, reading=telling(50))) == ["math-benchmark-50"]


def test_learners_that_say_nothing_leave_it_as_it_is() -> None:
    run = with_status(benchmarked_run(), benchmarks=[entry("checkpoint-50", 50)])
    assert jobs_in(look(run, *AT_WORK)) == ["math-benchmark-50"]


def test_jobs_of_benchmarks_are_no_earlier_attempts() -> None:
    run = with_status(benchmarked_run(), attempt=2, benchmarks=[entry("checkpoint-50", 50, "Running")])
    learner = make_pod(attempt=2, ready=True)
    plan = look(run, make_job(2), learner, benchmark_job("checkpoint-50"), make_job(1))
    assert [child.name for child in plan.delete] == ["math-learner-1"]


def test_the_trained_model_comes_last_when_the_run_has_succeeded() -> None:
    run = succeeded(benchmarked_run(), benchmarks=[entry("checkpoint-50", 50, "Succeeded", scores=SCORES)])
    first = look(run)
    assert entries_of(first) == {"checkpoint-50": "Succeeded", "model": "Pending"}
    assert first.status.benchmarks[-1].step == 100
    assert jobs_in(first) == ["math-benchmark-model"]
    done = (benchmark_job("model", conditions=(COMPLETE,)), pod_with_scores("model", SCORES))
    last = look(then(run, first), *done)
    assert entries_of(last) == {"checkpoint-50": "Succeeded", "model": "Succeeded"}
    assert said(last, BENCHMARKED) == ("True", "BenchmarksDone")
    assert message(last, BENCHMARKED) == "2 of 2 models are benchmarked."
    assert last.status.phase is Phase.SUCCEEDED
    settled = look(then(run, last))
    assert (settled.status, settled.write, settled.look_again_s) == (last.status, (), None)


@pytest.mark.parametrize(
    ("kept_models", "targets"),
    [([], ["model"]), ([10], ["checkpoint-10", "model"]), ([10, 20], ["checkpoint-10", "checkpoint-20"])],
)
def test_the_look_that_sees_the_end_knows_what_was_saved_last(kept_models: list[int], targets: list[str]) -> None:
    report = Progress(
        attempt=1,
        stage=Stage.FINISHED,
        progress=Steps(step=20, max_steps=20),
        model=f"{FOLDER}/model",
        kept_models=kept_models,
    ).to_json()
    learner = make_pod(phase="Succeeded", containers=(container(terminated=ended(0, "Completed", report)),))
    plan = look(with_status(benchmarked_run()), make_job(conditions=(COMPLETE,)), learner)
    assert list(entries_of(plan)) == targets
    assert jobs_in(plan) == [f"math-benchmark-{targets[0].removeprefix('checkpoint-')}"]


@pytest.mark.parametrize(
    ("recipe", "targets"),
    [({}, ["checkpoint-100"]), ({"load_best_model_at_end": True}, ["checkpoint-100", "model"])],
)
def test_a_model_that_is_the_last_checkpoints_is_not_benchmarked_twice(
    recipe: dict[str, Any], targets: list[str]
) -> None:
    plan = look(succeeded(benchmarked_run(**recipe), benchmarks=[entry("checkpoint-100", 100)]))
    assert list(entries_of(plan)) == targets
    assert jobs_in(plan) == ["math-benchmark-100"]


def best_of_step(step: int) -> EvaluationProgress:
    best = BestEvaluation(step=step, metric="eval_reward", value=0.5)
    return EvaluationProgress(step=step, time=ago(10), best=best)


@pytest.mark.parametrize(
    ("phases", "best_step", "targets"),
    [
        ({20: "Succeeded", 100: "Pending"}, 20, ["checkpoint-20", "checkpoint-100"]),
        ({20: "Pending", 100: "Pending"}, 20, ["checkpoint-20", "checkpoint-100"]),
        ({20: "Failed", 100: "Pending"}, 20, ["checkpoint-20", "checkpoint-100", "model"]),  # it gave way to newer ones
        ({100: "Pending"}, 20, ["checkpoint-100", "model"]),  # the best one is no checkpoint of the recipe
        ({20: "Succeeded", 100: "Failed"}, 100, ["checkpoint-20", "checkpoint-100", "model"]),
    ],
)
def test_a_model_that_is_the_best_checkpoints_is_not_benchmarked_twice(
    phases: dict[int, str], best_step: int, targets: list[str]
) -> None:
    entries = [entry(f"checkpoint-{step}", step, phase) for step, phase in phases.items()]
    run = succeeded(
        benchmarked_run(load_best_model_at_end=True), benchmarks=entries, evaluation=best_of_step(best_step)
    )
    plan = look(run)
    assert list(entries_of(plan)) == targets
    assert {entry.target: entry.step for entry in plan.status.benchmarks}.get("model", best_step) == best_step


def test_the_best_evaluation_of_a_run_that_loads_none_says_nothing_of_its_model() -> None:
    entries = [entry("checkpoint-20", 20, "Succeeded")]
    plan = look(succeeded(benchmarked_run(), benchmarks=entries, evaluation=best_of_step(20)))
    assert entries_of(plan) == {"checkpoint-20": "Succeeded", "model": "Pending"}


def test_a_run_that_has_failed_starts_none_and_lets_the_one_that_runs_go_on() -> None:
    condition = make_condition(ConditionType.FAILED, "True", "RewardsFailing")
    entries = [entry("checkpoint-50", 50, "Running"), entry("checkpoint-80", 80)]
    run = with_status(benchmarked_run(), conditions=[condition], benchmarks=entries)
    plan = look(run, benchmark_job("checkpoint-50"))
    assert (jobs_in(plan), plan.delete) == ([], ())
    assert entries_of(plan) == {"checkpoint-50": "Running", "checkpoint-80": "Pending"}
    done = pod_with_scores("checkpoint-50", SCORES)
    last = look(then(run, plan), benchmark_job("checkpoint-50", conditions=(COMPLETE,)), done)
    assert jobs_in(last) == []
    assert said(last, BENCHMARKED) == ("False", "RunEnded")
    assert message(last, BENCHMARKED) == "1 of 2 models are benchmarked."


NO_ROOM = no_room(60)
WROTE = f"What it has written lies in {FOLDER}/benchmarks/checkpoint-50 on the volume."
FAILED_JOB = job_condition("Failed", 10)
REPORTED = '{"reason": "BenchmarkError", "message": "benchmarks.command left nothing."}'


@pytest.mark.parametrize(
    ("condition", "pods", "words"),
    [
        (
            FAILED_JOB,
            [
                benchmark_pod(
                    "checkpoint-50",
                    container("benchmark", terminated=ended(1, "Error", "loading\nValueError: no such task\n")),
                    container("report", waiting={"reason": "PodInitializing"}),
                    phase="Failed",
                )
            ],
            "Container benchmark of pod pod-checkpoint-50 ended with exit code 1 (ValueError: no such task): see `kubectl logs "
            "pod-checkpoint-50 -c benchmark` in the run's namespace.",
        ),
        (
            FAILED_JOB,
            [
                benchmark_pod(
                    "checkpoint-50",
                    container("benchmark", terminated=ended(0, "Completed")),
                    container("report", terminated=ended(78, "Error", REPORTED)),
                    phase="Failed",
                )
            ],
            "Container report of pod pod-checkpoint-50 ended with exit code 78 (benchmarks.command left nothing): see `kubectl "
            "logs pod-checkpoint-50 -c report` in the run's namespace.",
        ),
        (
            FAILED_JOB,
            [
                benchmark_pod(
                    "checkpoint-50",
                    container("benchmark", terminated=ended(137, "OOMKilled")),
                    container("report", waiting={"reason": "PodInitializing"}),
                    phase="Failed",
                )
            ],
            "Container benchmark of pod pod-checkpoint-50 ended with exit code 137 (OOMKilled): see `kubectl logs "
            "pod-checkpoint-50 -c benchmark` in the run's namespace.",
        ),
        (
            job_condition("Failed", 10, "DeadlineExceeded"),
            [],
            "For 7 days its pods have waited for nodes, or were taken away from them.",
        ),
        (
            job_condition("Failed", 10, "DeadlineExceeded"),
            [benchmark_pod("checkpoint-50", container("report"), phase="Pending", conditions=[NO_ROOM])],
            "For 7 days its pods have waited for nodes, or were taken away from them (0/2 nodes are available: 2 Insufficient "
            "nvidia.com/gpu).",
        ),
        (FAILED_JOB, [], "Its pod is gone with its words (Job has reached the specified backoff limit)."),
        (COMPLETE, [], "Its pod is gone with its words."),
    ],
)
def test_a_benchmark_that_fails_says_why(condition: Any, pods: list[Any], words: str) -> None:
    run = with_status(benchmarked_run(), benchmarks=[entry("checkpoint-50", 50, "Running")])
    plan = look(run, *AT_WORK, benchmark_job("checkpoint-50", conditions=(condition,)), *pods, reading=telling(50, 80))
    (failed, waiting) = plan.status.benchmarks
    assert (failed.phase, failed.message) == ("Failed", f"{words} {WROTE}")
    assert waiting.target == "checkpoint-80"
    assert ("Warning", "BenchmarkFailed", f"checkpoint-50: {words} {WROTE}") in notes(run, plan)
    assert jobs_in(plan) == ["math-benchmark-80"]
    assert plan.status.phase is not Phase.FAILED


TOO_SLOW = benchmark_pod(
    "checkpoint-50",
    container("benchmark", terminated=ended(137, "Error", "task 3 of 4\n")),
    container("report", waiting={"reason": "PodInitializing"}),
    phase="Failed",
    reason="DeadlineExceeded",
    message="Pod was active on the node longer than the specified deadline",
)


@pytest.mark.parametrize(("seconds", "told"), [(3600, "1 hour"), (5400, "1.5 hours"), (1800, "0.5 hours")])
def test_the_time_that_one_had_is_told(seconds: int, told: str) -> None:
    settings = make_settings(None, BENCHMARKS.model_copy(update={"timeout_s": seconds}))
    run = with_status(benchmarked_run(), benchmarks=[entry("checkpoint-50", 50, "Running")])
    plan = look(run, *AT_WORK, benchmark_job("checkpoint-50"), TOO_SLOW, reading=telling(50), settings=settings)
    message = str(plan.status.benchmarks[0].message)
    assert message.startswith(f"It did not end within {told} on its node (")


def test_one_that_takes_too_long_is_not_tried_again() -> None:
    """The Job controller would: it knows the deadline of a pod from no other failure."""
    run = with_status(benchmarked_run(), benchmarks=[entry("checkpoint-50", 50, "Running"), entry("checkpoint-80", 80)])
    job = benchmark_job("checkpoint-50")
    plan = look(run, *AT_WORK, job, TOO_SLOW, reading=telling(50, 80))
    assert plan.status.benchmarks[0].message == (
        f"It did not end within 1 hour on its node (benchmarks.timeoutSeconds of the operator's chart). {WROTE}"
    )
    assert entries_of(plan) == {"checkpoint-50": "Failed", "checkpoint-80": "Pending"}
    assert [child.name for child in plan.delete] == ["math-benchmark-50"]
    assert jobs_in(plan) == ["math-benchmark-80"]
    late = look(then(run, plan), *AT_WORK, job, benchmark_job("checkpoint-80"), reading=telling(50, 80))
    assert [child.name for child in late.delete] == ["math-benchmark-50"], (
        "a removal that was refused is asked for again"
    )
    over = benchmark_job("checkpoint-50", conditions=(FAILED_JOB,))
    kept = look(then(run, plan), *AT_WORK, over, benchmark_job("checkpoint-80"), reading=telling(50, 80))
    assert kept.delete == ()


def test_a_pod_that_the_cluster_took_away_ends_no_benchmark() -> None:
    run = with_status(benchmarked_run(), benchmarks=[entry("checkpoint-50", 50, "Running")])
    gone = benchmark_pod(
        "checkpoint-50",
        container("benchmark", terminated=ended(137, "Error")),
        container("report"),
        phase="Failed",
        conditions=[{"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler", "message": "m"}],
    )
    plan = look(run, *AT_WORK, benchmark_job("checkpoint-50"), gone, reading=telling(50))
    assert entries_of(plan) == {"checkpoint-50": "Running"}
    assert plan.delete == ()


def test_news_of_its_pods_may_come_after_that_of_the_job() -> None:
    run = with_status(benchmarked_run(), benchmarks=[entry("checkpoint-50", 50, "Running")])
    job = benchmark_job("checkpoint-50", conditions=(job_condition("Complete", 1, "CompletionsReached"),))
    plan = look(run, *AT_WORK, job, reading=telling(50))
    assert entries_of(plan) == {"checkpoint-50": "Running"}
    assert plan.look_again_s is not None
    assert plan.look_again_s <= 3
    later = look(then(run, plan), *AT_WORK, job, reading=telling(50), now=NOW + timedelta(seconds=3))
    assert entries_of(later) == {"checkpoint-50": "Failed"}


@pytest.mark.parametrize(
    ("pod", "words"),
    [
        (
            benchmark_pod(
                "checkpoint-50",
                container("report"),
                phase="Pending",
                conditions=[NO_ROOM],
            ),
            ", and its pod pod-checkpoint-50 fits no node (0/2 nodes are available: 2 Insufficient nvidia.com/gpu)",
        ),
        (
            benchmark_pod(
                "checkpoint-50",
                container("benchmark", waiting={"reason": "ImagePullBackOff", "message": "no such image."}),
                container("report", waiting={"reason": "PodInitializing"}),
                phase="Pending",
            ),
            ", and its pod pod-checkpoint-50 does not start (ImagePullBackOff: no such image)",
        ),
    ],
)
def test_what_keeps_its_pod_is_said(pod: Any, words: str) -> None:
    run = with_status(benchmarked_run(), benchmarks=[entry("checkpoint-50", 50, "Running")])
    plan = look(run, *AT_WORK, benchmark_job("checkpoint-50"), pod, reading=telling(50))
    assert message(plan, BENCHMARKED) == (f"0 of 1 models are benchmarked. checkpoint-50 is being benchmarked{words}.")
    assert said(plan, ConditionType.LEARNERS_READY) == ("True", "AllReady")


def test_a_job_that_the_server_refuses_is_the_benchmarks_trouble_alone() -> None:
    run = with_status(benchmarked_run(), benchmarks=[entry("checkpoint-50", 50)])
    refusal = Refusal("ChildRefused", "The API server refused Job math-benchmark-50.", Role.BENCHMARK)
    plan = look(run, *AT_WORK, reading=telling(50), refusals=(refusal,))
    assert said(plan, BENCHMARKED) == ("False", "ChildRefused")
    assert said(plan, ConditionType.ACCEPTED) == ("True", "Accepted")
    assert said(plan, ConditionType.LEARNERS_READY) == ("True", "AllReady")
    assert plan.look_again_s is not None
    assert plan.look_again_s <= 60
    assert ("Warning", "ChildRefused", refusal.message) in notes(run, plan)


def test_a_name_that_somebody_else_has() -> None:
    run = with_status(benchmarked_run(), benchmarks=[entry("checkpoint-50", 50)])
    plan = look(run, *AT_WORK, benchmark_job("checkpoint-50", uid="another-run"), reading=telling(50))
    assert said(plan, BENCHMARKED) == ("False", "NameTaken")
    assert jobs_in(plan) == []


def test_the_status_holds_the_newest() -> None:
    entries = [entry(f"checkpoint-{step}", step, "Succeeded", scores=SCORES) for step in range(1, MOST_ENTRIES + 1)]
    run = with_status(benchmarked_run(), benchmarks=entries)
    plan = look(run, *AT_WORK, reading=telling(MOST_ENTRIES + 1))
    assert [found.step for found in plan.status.benchmarks] == list(range(2, MOST_ENTRIES + 2))


def test_an_operator_that_does_not_know_the_runs_defaults_starts_none() -> None:
    run = with_status(benchmarked_run(), benchmarks=[entry("checkpoint-50", 50)])
    unknown = run.model_copy(update={"spec": run.spec.model_copy(update={"recipe_defaults": "trl-9.0"})})
    assert look(unknown, *AT_WORK).write == ()


def test_learners_come_first() -> None:
    """A benchmark that waits for a GPU would get that of a learner which has to come back."""
    run = with_status(benchmarked_run(), benchmarks=[entry("checkpoint-50", 50, "Running")])
    unready = (make_job(), make_pod())
    waiting = benchmark_pod("checkpoint-50", container("report"), phase="Pending")
    withdrawn = look(run, *unready, benchmark_job("checkpoint-50"), waiting, reading=telling(50))
    assert [child.name for child in withdrawn.delete] == ["math-benchmark-50"]
    without = look(then(run, withdrawn), *unready, reading=telling(50))
    assert jobs_in(without) == []
    assert entries_of(without) == {"checkpoint-50": "Pending"}
    assert message(without, BENCHMARKED) == (
        "0 of 1 models are benchmarked. checkpoint-50 waits until all learners are ready: they come first."
    )
    again = look(then(run, without), *AT_WORK, reading=telling(50))
    assert jobs_in(again) == ["math-benchmark-50"]


def test_one_that_has_its_node_goes_on_whatever_learners_do() -> None:
    run = with_status(benchmarked_run(), benchmarks=[entry("checkpoint-50", 50, "Running")])
    at_work = benchmark_pod("checkpoint-50", container("benchmark", running={}), container("report"), node="node1")
    plan = look(run, make_job(), make_pod(), benchmark_job("checkpoint-50"), at_work, reading=telling(50))
    assert plan.delete == ()
    assert entries_of(plan) == {"checkpoint-50": "Running"}
