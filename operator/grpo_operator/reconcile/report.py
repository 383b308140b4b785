"""The status of a run, put together from what the policies said."""

from collections.abc import Container, Iterable
from datetime import datetime
from typing import Final

from grpo_contract.files import run_folder
from grpo_contract.labels import Role
from grpo_contract.progress import Progress, Steps
from grpo_operator.api.run import GRPORun
from grpo_operator.api.status import (
    BenchmarkStatus,
    Condition,
    ConditionType,
    GeneratorStatus,
    GRPORunStatus,
    LastFailure,
    LearnerStatus,
    RecipeNote,
    RecipeStatus,
)
from grpo_operator.desired.manifest import selector_of
from grpo_operator.desired.recipe import todays_recipe
from grpo_operator.reconcile.acceptance import accepted
from grpo_operator.reconcile.conditions import Statement, set_conditions, timestamp
from grpo_operator.reconcile.disruption import is_disruption, judge_next_attempt, tally
from grpo_operator.reconcile.failure import Cause
from grpo_operator.reconcile.observed import time_of
from grpo_operator.reconcile.own_recipe import recipe_has_changed
from grpo_operator.reconcile.phase import phase_of
from grpo_operator.reconcile.readiness import has_had_generators, ready_generators, ready_learners
from grpo_operator.reconcile.reasons import Reason
from grpo_operator.reconcile.reported import PACE, with_progress
from grpo_operator.reconcile.restart import counted, start_of
from grpo_operator.reconcile.suspension import suspended_at
from grpo_operator.reconcile.world import Children

_NO_PACE: Final = {**dict.fromkeys(PACE), "eta_seconds": None}
"""Of an attempt that has made no steps."""

_OF_PODS: Final = (
    ConditionType.GENERATORS_READY,
    ConditionType.LEARNERS_READY,
    ConditionType.WEIGHTS_IN_SYNC,
    ConditionType.PROGRESSING,
)
"""What they speak of is no more when a run has no pods."""


def refused(run: GRPORun, statement: Statement, now: datetime) -> GRPORunStatus:
    """Of a run of which nothing is started or, because it cannot be told what it wants, repaired."""
    return _stated(run, run.status, [statement], now)


def ongoing(
    run: GRPORun,
    children: Children,
    attempt: int,
    statements: Iterable[Statement],
    progress: Progress | None,
    now: datetime,
) -> GRPORunStatus:
    deployment, old = children.deployment, run.status.generators
    statements = list(statements)
    status = run.status.model_copy(
        update={
            "attempt": attempt,
            "output": str(run_folder(run.metadata.name, run.metadata.uid)),
            "started_at": run.status.started_at or (timestamp(now) if _has_started(statements, children) else None),
            "learners": _learners(run, attempt, ready_learners(children)),
            "generators": old.model_copy(
                update={
                    "desired": run.spec.generators.replicas,
                    "replicas": deployment.replicas if deployment else 0,
                    "ready": ready_generators(children),
                    "first_ready_at": old.first_ready_at
                    or (timestamp(now) if has_had_generators(run, children) else None),
                    "selector": _selector(run),
                }
            ),
        }
    )
    return _stated(run, with_progress(run, status, progress), statements, now)


def _has_started(statements: Iterable[Statement], children: Children) -> bool:
    """A refused object may have left others that are there, and that hold the recipe as it was."""
    acceptance = [statement.status for statement in statements if statement.type is ConditionType.ACCEPTED]
    return acceptance[-1] == "True" or _has_made(children)


def _has_made(children: Children) -> bool:
    """Anything that was made for this run: a claim without an owner is mostly an earlier run's."""
    return any(child.owner_uid for child in children.own.values())


def restarting(run: GRPORun, failed_attempt: int, cause: Cause, now: datetime) -> GRPORunStatus:
    """The attempt's failure is on record before anything is done about it."""
    attempt = failed_attempt + 1
    end = tally(run.status, cause.reason) | {"last_failure": _last_failure(failed_attempt, cause, now)}
    run = run.model_copy(update={"status": run.status.model_copy(update=end)})
    status = _unheld(_before_attempt(run, attempt))
    start = start_of(run, attempt)
    how = "was ended by a disruption" if is_disruption(cause.reason) else "failed"
    message = f"Attempt {failed_attempt} {how} ({cause.message.rstrip('.')}). {start}"
    return _stated(run, status, _on_the_way(run, message), now)


def resumed(run: GRPORun, failed_attempt: int, now: datetime) -> GRPORunStatus:
    """Of a run that had failed by this attempt. `last_failure` tells of that until another attempt fails."""
    attempt = failed_attempt + 1
    conditions = _without(run.status.conditions, {ConditionType.FAILED})
    run = run.model_copy(update={"status": run.status.model_copy(update={"attempts_without_step": 0})})
    status = _before_attempt(run, attempt).model_copy(
        update={
            "conditions": conditions,
            "inactive_seconds": _inactive_seconds(run, run.status.finished_at, now),
            "finished_at": None,
        }
    )
    start = start_of(run, attempt)
    message = f"spec.maxRestarts is {run.spec.max_restarts} now, and the run goes on. {start}"
    return _stated(run, status, [_STARTING_GENERATORS, *_on_the_way(run, message)], now)


def suspended(run: GRPORun, children: Children, attempt: int, statement: Statement, now: datetime) -> GRPORunStatus:
    """One that was created so has not started: nothing of it is there, and its recipe may still be corrected."""
    status = _before_attempt(run, attempt)
    status = status.model_copy(
        update={
            "started_at": run.status.started_at or (timestamp(now) if _has_made(children) else None),
            "suspended_at": suspended_at(run, children, now),
            "generators": _no_generators(run, status.generators),
        }
    )
    held = _of_no_pods(Reason.SUSPENDED, "The run is suspended.")
    return _stated(run, status, [accepted(run), *held, statement], now)


def unsuspended(run: GRPORun, held_attempt: int, now: datetime) -> GRPORunStatus:
    """Of a run that `spec.suspend` has held. The next look makes its pods."""
    if run.status.started_at is None:
        message = "spec.suspend is false, and the run starts."
        going_on = Statement(ConditionType.SUSPENDED, "False", Reason.RESUMED, message)
        conditions = _without(run.status.conditions, _OF_PODS)
        status = run.status.model_copy(update={"conditions": conditions, "suspended_at": None})
        return _stated(run, status, [going_on], now)
    attempt = held_attempt + 1
    fields = {
        "suspensions": run.status.suspensions + 1,
        "attempts_without_step": 0,
        "inactive_seconds": _inactive_seconds(run, run.status.suspended_at, now),
        "suspended_at": None,
    }
    run = run.model_copy(update={"status": run.status.model_copy(update=fields)})
    message = f"spec.suspend is false again, and the run goes on. {start_of(run, attempt)}"
    going_on = Statement(ConditionType.SUSPENDED, "False", Reason.RESUMED, message)
    statements = [_STARTING_GENERATORS, *_on_the_way(run, message), going_on]
    conditions = _without(run.status.conditions, {ConditionType.SUSPENDED})  # dated anew: the attempt has ended by now
    status = _before_attempt(run, attempt).model_copy(update={"conditions": conditions})
    return _stated(run, status, statements, now)


def _inactive_seconds(run: GRPORun, since: str | None, now: datetime) -> int:
    """With those of a time that is over now."""
    assert since is not None
    return run.status.inactive_seconds + max(0, round((now - time_of(since)).total_seconds()))


def _before_attempt(run: GRPORun, attempt: int) -> GRPORunStatus:
    """The status, without what only an attempt that goes on has."""
    return run.status.model_copy(
        update={
            "attempt": attempt,
            "progress": run.status.progress.model_copy(update=_NO_PACE),
            "learners": _learners(run, attempt, ready=0),
            "generators": run.status.generators.model_copy(update={"in_sync": 0, "weight_version": None}),
        }
    )


_STARTING_GENERATORS: Final = Statement(
    ConditionType.GENERATORS_READY, "False", Reason.STARTING, "Generators are being created and started."
)


def _on_the_way(run: GRPORun, message: str) -> list[Statement]:
    """Of a run of which nothing is there yet of a new attempt."""
    return [
        accepted(run),
        Statement(ConditionType.LEARNERS_READY, "False", Reason.RESTARTING, message),
        Statement(ConditionType.WEIGHTS_IN_SYNC, "Unknown", Reason.NOT_KNOWN_YET, "No weights were sent yet."),
        judge_next_attempt(run.status, message),
    ]


def failed(run: GRPORun, attempt: int, cause: Cause, statements: Iterable[Statement], now: datetime) -> GRPORunStatus:
    """`statements`: Failed, and conditions that have more to say than that the run has ended."""
    end = tally(run.status, cause.reason) | {"last_failure": _last_failure(attempt, cause, now)}
    return _ended(run, attempt, run.status.model_copy(update=end), statements, now)


def with_log(status: GRPORunStatus, lines: list[str]) -> GRPORunStatus:
    assert status.last_failure is not None
    return status.model_copy(update={"last_failure": status.last_failure.model_copy(update={"log": lines})})


def succeeded(
    run: GRPORun, attempt: int, progress: Progress | None, now: datetime, lost_after: Cause | None = None
) -> GRPORunStatus:
    """`lost_after`: what ended the last attempt when the model was saved already."""
    status = with_progress(run, run.status, progress).model_copy(update={"attempts_without_step": 0})
    where = f" in {status.model} on the volume" if status.model else ""
    message = f"{_steps_done(status.progress)} and the model is saved{where}."
    if lost_after:
        status = status.model_copy(update={"last_failure": _last_failure(attempt, lost_after, now)})
        message += f" The last attempt ended early after that, its evaluation or its pushes may be missing: {lost_after.message}"
    statement = Statement(ConditionType.SUCCEEDED, "True", Reason.COMPLETED, message)
    return _ended(run, attempt, status, [statement], now)


def _steps_done(steps: Steps) -> str:
    if steps.ended_early is None:
        return f"{steps.step} steps are done"
    return f"Training ended early, at step {steps.step} of {steps.max_steps} ({steps.ended_early}),"


def with_benchmarks(
    run: GRPORun, status: GRPORunStatus, entries: list[BenchmarkStatus], statement: Statement, now: datetime
) -> GRPORunStatus:
    conditions = set_conditions(status.conditions, [statement], run.metadata.generation, now)
    return status.model_copy(update={"benchmarks": entries, "conditions": conditions})


def still_ended(run: GRPORun) -> GRPORunStatus:
    """Only the phase may have another name: that of a newer operator was not understood."""
    phase = phase_of(run.status.conditions, run.status.attempt, run.status.phase)
    return run.status.model_copy(update={"observed_generation": run.metadata.generation, "phase": phase})


def _ended(
    run: GRPORun, attempt: int, status: GRPORunStatus, statements: Iterable[Statement], now: datetime
) -> GRPORunStatus:
    status = _unheld(status).model_copy(
        update={
            "attempt": attempt,
            "finished_at": timestamp(now),
            "learners": _learners(run, attempt, ready=0),
            "generators": _no_generators(run, status.generators),
        }
    )
    over = _of_no_pods(Reason.RUN_ENDED, "The run has ended.")
    return _stated(run, status, [accepted(run), *over, *statements], now)


def _unheld(status: GRPORunStatus) -> GRPORunStatus:
    """Of a run whose learners were quicker than its suspension, if there was one."""
    if status.suspended_at is None:
        return status
    conditions = _without(status.conditions, {ConditionType.SUSPENDED})
    return status.model_copy(update={"conditions": conditions, "suspended_at": None})


def _of_no_pods(reason: Reason, message: str) -> list[Statement]:
    return [Statement(condition_type, "False", reason, message) for condition_type in _OF_PODS]


def _without(conditions: Iterable[Condition], types: Container[ConditionType]) -> list[Condition]:
    return [condition for condition in conditions if condition.type not in types]


def _no_generators(run: GRPORun, before: GeneratorStatus) -> GeneratorStatus:
    """What is to be said of the role while it has no pods."""
    return GeneratorStatus(
        desired=run.spec.generators.replicas,
        first_ready_at=before.first_ready_at,
        weight_version=before.weight_version,
        recommended=before.recommended,
        selector=_selector(run),
    )


def _stated(run: GRPORun, status: GRPORunStatus, statements: Iterable[Statement], now: datetime) -> GRPORunStatus:
    conditions = set_conditions(status.conditions, statements, run.metadata.generation, now)
    return status.model_copy(
        update={
            "observed_generation": run.metadata.generation,
            "conditions": conditions,
            "phase": phase_of(conditions, status.attempt, status.phase),
            "recipe": _recipe(run),
        }
    )


def _recipe(run: GRPORun) -> RecipeStatus:
    if recipe_has_changed(run):
        return run.status.recipe  # the notes are of the run's own
    _, notes = todays_recipe(run.spec)
    told = [RecipeNote(key=note.key, action=note.action) for note in notes]
    return RecipeStatus(notes=told, digest=run.status.recipe.digest)


def _learners(run: GRPORun, attempt: int, ready: int) -> LearnerStatus:
    return LearnerStatus(desired=run.spec.learners.replicas, ready=ready, restarts=counted(run, attempt) - 1)


def _last_failure(attempt: int, cause: Cause, now: datetime) -> LastFailure:
    return LastFailure(
        attempt=attempt,
        time=timestamp(now),
        pod=cause.pod.name if cause.pod else None,
        exit_code=cause.exit_code,
        reason=cause.reason,
        message=cause.message,
    )


def _selector(run: GRPORun) -> str:
    labels = selector_of(run, Role.GENERATOR)
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
