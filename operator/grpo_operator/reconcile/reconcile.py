"""One look at a run: from what is there to what should be done. Pure; all else in this folder is a part of it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from grpo_operator.api.run import GRPORun
from grpo_operator.api.status import ConditionType
from grpo_operator.desired.children import Child, build_children
from grpo_operator.desired.pods_of_attempt import read_pods
from grpo_operator.desired.recipe import recipe_of_pods
from grpo_operator.reconcile import report
from grpo_operator.reconcile.acceptance import (
    accepted,
    judge_acceptance,
    judge_benchmark_names,
    judge_era,
    judge_recipe,
    taken_names,
)
from grpo_operator.reconcile.benchmarks import judge_benchmarks
from grpo_operator.reconcile.changes import children_to_write, ref_of
from grpo_operator.reconcile.checkpoints import judge_checkpoints
from grpo_operator.reconcile.completion import REPORT_GRACE_S, final_progress, is_complete
from grpo_operator.reconcile.conditions import Statement, find
from grpo_operator.reconcile.deadline import exceeded_deadline, seconds_until_deadline
from grpo_operator.reconcile.ending import judge_failure, seconds_until_learners_have_saved, should_resume
from grpo_operator.reconcile.failure import (
    CAUSE_GRACE_S,
    Cause,
    cause_of,
    lost_learner,
    should_restart,
    users_mistake_in,
    with_generators_taken,
    with_learners_without_room,
    witnessed_loss,
)
from grpo_operator.reconcile.observed import JobFailure, ObservedChild, ObservedJob, time_of
from grpo_operator.reconcile.ongoing import judge_ongoing, progress_of_attempt
from grpo_operator.reconcile.own_recipe import recipe_has_changed, with_own_recipe
from grpo_operator.reconcile.phase import has_ended
from grpo_operator.reconcile.plan import LogSource, Plan
from grpo_operator.reconcile.pod_trouble import seconds_until_settled
from grpo_operator.reconcile.readiness import has_had_generators, seconds_until_pods_are_missed
from grpo_operator.reconcile.removal import seconds_until_removal
from grpo_operator.reconcile.restart import (
    counted,
    judge_left_behind,
    seconds_to_wait,
    seconds_until_given_up,
)
from grpo_operator.reconcile.reward_code import LOOK_AGAIN_S, missing_code
from grpo_operator.reconcile.rewards import failing_rewards, judge_rewards
from grpo_operator.reconcile.storage import StorageVerdict, judge_storage
from grpo_operator.reconcile.suspension import (
    generators_may_go,
    judge_suspension,
    pods_left,
    seconds_until_news,
    should_go_on,
    should_suspend,
)
from grpo_operator.reconcile.world import Children, World, current_attempt, sort_children
from grpo_operator.reconcile.worn_out import worn_out_generators
from grpo_operator.resources import CONFIG_MAP, JOB
from grpo_operator.settings import Settings

REFUSED_AGAIN_S: Final = 60.0
"""The longest until the next try of a child that the API server refused: quotas are lifted and names become free."""


@dataclass(frozen=True)
class _Look:
    """What every part of a decision reads."""

    run: GRPORun
    world: World
    settings: Settings
    now: datetime
    attempt: int
    children: Children


def reconcile(run: GRPORun, world: World, settings: Settings, now: datetime) -> Plan:
    attempt = current_attempt(run, world.children)
    children = sort_children(run, world.children, attempt)
    run = with_own_recipe(run, children.job, progress_of_attempt(world.reading, attempt))
    look = _Look(run, world, settings, now, attempt, children)
    return _with_removal(look, _with_benchmarks(look, _decide(look)))


def _decide(look: _Look) -> Plan:
    run = look.run
    if has_ended(run.status.conditions):
        return _after_the_end(look)
    if objection := judge_era(run):
        return Plan(report.refused(run, objection, look.now))
    if should_go_on(run, look.children.job):
        return Plan(report.unsuspended(run, look.attempt, look.now), look_again_s=0)
    if run.status.started_at is None and (objection := judge_recipe(run) or judge_benchmark_names(run, look.settings)):
        return Plan(report.refused(run, objection, look.now))
    if should_suspend(run, look.children.job):
        return _suspend(look)
    return _pursue(look)


def _pursue(look: _Look) -> Plan:
    """The run is to go on, if it can, until it has ended."""
    run, children, now = look.run, look.children, look.now
    storage = judge_storage(run, look.world.users_claim, children.claim, now)
    if storage.is_hopeless:
        return _fail(look, _cause_in_storage(storage), [storage.statement])
    if exceeded := exceeded_deadline(run, children.job, now):
        return _try_again_or_fail(look, exceeded)
    if not storage.may_start:
        status = report.ongoing(run, children, look.attempt, [accepted(run), storage.statement], None, now)
        return Plan(status, look_again_s=storage.look_again_s)

    if not has_had_generators(run, children) and (mistake := users_mistake_in(children.generators)):
        return _fail(look, mistake)
    if is_complete(children, now):
        return Plan(report.succeeded(run, look.attempt, final_progress(children.first_learner), now), look_again_s=0)
    if children.job and children.job.failure:
        return _after_failure(look, children.job.failure, storage)
    if lost := lost_learner(children.learners, now):
        return _try_again_or_fail(look, lost)
    return _carry_on(look, storage)


def _with_benchmarks(look: _Look, plan: Plan) -> Plan:
    """Of a run that has started, and that this operator understands. They go on after its end."""
    if plan.status.started_at is None or judge_era(look.run) is not None:
        return plan
    progress = progress_of_attempt(look.world.reading, look.attempt) or final_progress(look.children.first_learner)
    refusals = look.world.refusals
    found = judge_benchmarks(look.run, plan.status, look.settings, look.children, progress, refusals, look.now)
    if found is None:
        return plan
    return replace(
        plan,
        status=report.with_benchmarks(look.run, plan.status, found.entries, found.statement, look.now),
        write=(*plan.write, found.job) if found.job else plan.write,
        delete=(*plan.delete, *_not_deleting(found.withdrawn)),
        look_again_s=_first(plan.look_again_s, found.look_again_s, REFUSED_AGAIN_S if refusals else None),
    )


def _with_removal(look: _Look, plan: Plan) -> Plan:
    rest_s = seconds_until_removal(look.run, plan.status, look.now)
    if rest_s is None or judge_era(look.run) is not None:
        return plan
    rest_s = max(rest_s, seconds_until_learners_have_saved(look.run, look.children, look.now))
    return replace(plan, removes_run=rest_s == 0, look_again_s=_first(plan.look_again_s, rest_s))


def _first(*waits: float | None) -> float | None:
    """The shortest; None when none is given."""
    return min((wait for wait in waits if wait is not None), default=None)


def _carry_on(look: _Look, storage: StorageVerdict, news_due_s: float | None = None) -> Plan:
    """Keep every child as it should be, and say how the run is."""
    run, world, children, now = look.run, look.world, look.children, look.now
    pause_s = _pause_before_attempt(look)
    wanted = _wanted_children(look, with_learners=pause_s == 0)
    blocks = [*missing_code(run, world.missing_config_maps), *taken_names(wanted, children.foreign)]
    refusals = blocks or world.refusals
    progress = progress_of_attempt(world.reading, look.attempt)
    statements = [
        judge_acceptance(run, refusals),
        storage.statement,
        *judge_ongoing(run, children, look.attempt, world.reading, refusals, now),
        *filter(None, [_left_behind(look), judge_rewards(progress), judge_checkpoints(run, progress)]),
    ]
    waits = (
        storage.look_again_s,
        news_due_s,
        pause_s or None,
        REFUSED_AGAIN_S if refusals else None,
        LOOK_AGAIN_S if world.missing_config_maps else None,
        *_waits(look),
    )
    return Plan(
        status=report.ongoing(run, children, look.attempt, statements, progress, now),
        write=() if blocks else children_to_write(wanted, children.own, world.markers, world.is_full_pass),
        delete=_not_deleting((*children.previous_jobs, _outdated_job(look), *worn_out_generators(children, progress))),
        look_again_s=_first(*waits),
    )


def _suspend(look: _Look) -> Plan:
    """Nothing is written meanwhile: what the run has beside its pods stays as it is."""
    run, children, now = look.run, look.children, look.now
    left = pods_left(children, now)
    status = report.suspended(run, children, look.attempt, judge_suspension(run, children, left, now), now)
    generators = children.deployment if generators_may_go(run, children, left, now) else None
    return Plan(
        status,
        delete=_not_deleting((children.job, *children.previous_jobs, generators)),
        look_again_s=seconds_until_news(run, left, now),
    )


def _after_failure(look: _Look, failure: JobFailure, storage: StorageVerdict) -> Plan:
    witnessed = witnessed_loss(look.run.status.conditions, failure)
    cause = cause_of(failure, look.children.learners, look.run.spec.learners.replicas, look.now, witnessed)
    if cause is None:
        return _carry_on(look, storage, news_due_s=CAUSE_GRACE_S)
    if has_had_generators(look.run, look.children):
        cause = with_generators_taken(cause, look.children.generators)
    if look.run.status.progress.step:
        cause = with_learners_without_room(cause, look.children.learners, look.run.status.conditions)
    return _try_again_or_fail(look, cause)


def _try_again_or_fail(look: _Look, cause: Cause) -> Plan:
    """The failure is put on record first; the next look, which follows at once, does what follows from it."""
    if should_restart(cause, counted(look.run, look.attempt), look.run.spec.max_restarts):
        status = report.restarting(look.run, look.attempt, cause, look.now)
        return Plan(status, log_source=_log_source(cause), look_again_s=0)
    if look.run.status.model:  # what is lost is what came after, whoever's mistake it is: its evaluation, a push
        status = report.succeeded(look.run, look.attempt, None, look.now, lost_after=cause)
        return Plan(status, log_source=_log_source(cause), look_again_s=0)
    return _fail(look, cause, failing_rewards(cause))


def _fail(look: _Look, cause: Cause, statements: Iterable[Statement] = ()) -> Plan:
    ending = judge_failure(look.run, look.attempt, cause)
    status = report.failed(look.run, look.attempt, cause, [*statements, ending], look.now)
    return Plan(status, log_source=_log_source(cause), look_again_s=0)


def _after_the_end(look: _Look) -> Plan:
    if should_resume(look.run, look.attempt):
        return Plan(report.resumed(look.run, look.attempt, look.now), look_again_s=0)
    return _clear_away(look)


def _clear_away(look: _Look) -> Plan:
    """An ended run burns no GPUs. The learners' Job stays for its pods' logs, unless it still runs."""
    children, job = look.children, look.children.job
    at_work = None if job and job.has_ended else job
    wait_s = seconds_until_learners_have_saved(look.run, children, look.now)
    generators = None if wait_s else children.deployment
    status = report.still_ended(look.run)
    return Plan(
        status,
        delete=_not_deleting((generators, at_work, *children.previous_jobs)),
        look_again_s=wait_s if children.deployment and wait_s else None,
    )


def _wanted_children(look: _Look, with_learners: bool) -> list[Child]:
    has_begun, deployment = look.children.job is not None, look.children.deployment
    kept = read_pods(deployment.pods) if has_begun and deployment else None
    wanted = build_children(look.run, look.settings, look.attempt, look.world.token, kept)
    left_out: set[str] = set() if with_learners else {JOB.kind}
    if recipe_has_changed(look.run):  # then only the file that is there holds the run's own
        left_out.add(CONFIG_MAP.kind)
    return [child for child in wanted if ref_of(child)[0] not in left_out]


def _outdated_job(look: _Look) -> ObservedJob | None:
    """A recipe may be corrected until the status says that the run has started, which is told after its pods are made:
    learners of the old one make way for others. Generators roll."""
    job = look.children.job
    is_of_another = job is not None and job.recipe is not None and job.recipe != recipe_of_pods(look.run)
    return job if is_of_another else None


def _pause_before_attempt(look: _Look) -> float:
    children = look.children
    if children.job:
        return 0.0
    # Learners of this attempt without its Job: somebody deleted the Job, and it is made again when they are gone.
    leftovers = (*children.previous_learners, *children.learners)
    return seconds_to_wait(look.run.status.attempts_without_step, _failed_at(look.run), leftovers, look.now)


def _left_behind(look: _Look) -> Statement | None:
    if look.children.job or look.children.previous_jobs:  # a Job that is on its way out takes its pods along
        return None
    return judge_left_behind(look.attempt, _last_ended_at(look.run), look.children.previous_learners, look.now)


def _failed_at(run: GRPORun) -> datetime | None:
    """When the last attempt did."""
    return time_of(run.status.last_failure.time) if run.status.last_failure else None


def _last_ended_at(run: GRPORun) -> datetime | None:
    """When the last attempt did, by a failure or at the latest when a suspension was over."""
    suspended = find(run.status.conditions, ConditionType.SUSPENDED)
    ends = [_failed_at(run), time_of(suspended.last_transition_time) if suspended else None]
    return max((end for end in ends if end), default=None)


def _waits(look: _Look) -> Iterable[float | None]:
    """Seconds until time alone changes what is to be said."""
    children, now = look.children, look.now
    first, job = children.first_learner, children.job
    return (
        look.settings.progress_interval_s if first and first.is_running else None,
        REPORT_GRACE_S if job and job.completed_at else None,
        seconds_until_settled((*children.learners, *children.generators), now),
        seconds_until_pods_are_missed(look.run, children, now),
        seconds_until_given_up(children.learners, now),
        seconds_until_deadline(look.run, now),
    )


def _cause_in_storage(storage: StorageVerdict) -> Cause:
    return Cause(storage.statement.reason, storage.statement.message, is_users_mistake=True)


def _log_source(cause: Cause) -> LogSource | None:
    return LogSource(cause.pod, cause.container) if cause.pod and cause.container else None


def _not_deleting(children: Iterable[ObservedChild | None]) -> tuple[ObservedChild, ...]:
    return tuple(child for child in children if child and not child.is_deleting)
