"""What learner 0 reports, as it is told in the status."""

from typing import Final

from grpo_contract.progress import EvaluationProgress, Metrics, Progress, Steps
from grpo_operator.api.run import GRPORun
from grpo_operator.api.status import GRPORunStatus
from grpo_operator.reconcile.progressing import generators_in_sync
from grpo_operator.reconcile.recommendation import recommend

SIGNIFICANT_DIGITS: Final = 4

PACE: Final = ("seconds_per_step", "tokens_per_second", "generator_seconds", "learning_seconds")


def with_progress(run: GRPORun, status: GRPORunStatus, progress: Progress | None) -> GRPORunStatus:
    """A new attempt knows neither its position, before its training begins, nor metrics, before its first logged step:
    until then the run is where the last attempt left it."""
    if progress is None:
        return status
    knows_position = progress.progress.max_steps is not None
    status = _with_recommendation(run, status, progress.progress)
    return status.model_copy(
        update={
            "progress": _readable_steps(progress.progress) if knows_position else status.progress,
            "metrics": _readable(progress.metrics) if progress.metrics != Metrics() else status.metrics,
            "evaluation": _readable_evaluation(progress.evaluation) if progress.evaluation else status.evaluation,
            "checkpoint": progress.checkpoint
            if progress.checkpoint_health
            else progress.checkpoint or status.checkpoint,
            "model": progress.model or status.model,
            "pushed": progress.pushed or status.pushed,
            "attempts_without_step": 0 if progress.progress.seconds_per_step else status.attempts_without_step,
            "generators": status.generators.model_copy(
                update={"in_sync": generators_in_sync(progress), "weight_version": progress.weight_version}
            ),
        }
    )


def _with_recommendation(run: GRPORun, status: GRPORunStatus, steps: Steps) -> GRPORunStatus:
    """The last one holds until its attempt, or another, knows better."""
    if not steps.generator_seconds or not steps.learning_seconds:
        return status
    found = recommend(run.spec.generators, steps.generator_seconds, steps.learning_seconds)
    generators = status.generators.model_copy(update={"recommended": found.generators})
    return status.model_copy(update={"generators": generators, "recommendation": found.sentence})


def _readable(metrics: Metrics) -> Metrics:
    """Rounded, because `kubectl get` prints every digit that there is."""
    numbers: dict[str, float] = metrics.model_dump(exclude={"rewards"}, exclude_none=True)
    readable = {name: rounded(value) for name, value in numbers.items()}
    return Metrics(**readable, rewards={name: rounded(value) for name, value in metrics.rewards.items()})


def _readable_evaluation(evaluation: EvaluationProgress) -> EvaluationProgress:
    numbers = evaluation.model_dump(include={"reward", "reward_std", "completion_length"}, exclude_none=True)
    readable = {name: rounded(value) for name, value in numbers.items()}
    rewards = {name: rounded(value) for name, value in evaluation.rewards.items()}
    best = evaluation.best and evaluation.best.model_copy(update={"value": rounded(evaluation.best.value)})
    return evaluation.model_copy(update=readable | {"rewards": rewards, "best": best})


def _readable_steps(steps: Steps) -> Steps:
    numbers = steps.model_dump(include={"epoch", *PACE}, exclude_none=True)
    readable = {name: rounded(value) for name, value in numbers.items()}
    return steps.model_copy(
        update=readable | {"eta_seconds": None if steps.eta_seconds is None else float(round(steps.eta_seconds))}
    )


def rounded(value: float) -> float:
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}")
