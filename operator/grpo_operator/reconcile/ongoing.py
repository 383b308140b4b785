"""What is to be said of a run that goes on: its pods, and what learner 0 reports."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from grpo_contract.labels import Role
from grpo_contract.progress import Progress
from grpo_operator.api.run import GRPORun
from grpo_operator.api.status import ConditionType
from grpo_operator.reconcile.conditions import Statement, find
from grpo_operator.reconcile.progressing import REPORTED, is_unreadable, judge_progress, judge_weights
from grpo_operator.reconcile.readiness import judge_generators, judge_learners
from grpo_operator.reconcile.world import Children, Reading, Refusal

_READINESS: Final = {Role.GENERATOR: ConditionType.GENERATORS_READY, Role.LEARNER: ConditionType.LEARNERS_READY}


def judge_ongoing(
    run: GRPORun, children: Children, attempt: int, reading: Reading, refusals: Sequence[Refusal], now: datetime
) -> list[Statement]:
    """`refusals` keep from a role what the run asks for, whatever its pods do meanwhile."""
    generators = _refused(Role.GENERATOR, refusals) or judge_generators(run, children, now)
    learners = _refused(Role.LEARNER, refusals) or judge_learners(run, children, now)
    reading = _of_the_living(children, reading)
    if _is_silent(children, reading) and _has_spoken(run) and not is_unreadable(reading, now):
        return [generators, learners]  # what was said of the rest still holds
    progress = progress_of_attempt(reading, attempt)
    return [
        generators,
        learners,
        judge_weights(progress, run.spec.generators.max_staleness),
        judge_progress(run, attempt, progress, reading, learners, generators, now),
    ]


def _refused(role: Role, refusals: Sequence[Refusal]) -> Statement | None:
    """Of what both roles need, learners tell: a new attempt of theirs needs it first."""
    first = next((refusal for refusal in refusals if (refusal.role or Role.LEARNER) is role), None)
    return Statement(_READINESS[role], "False", first.reason, first.message) if first else None


def progress_of_attempt(reading: Reading, attempt: int) -> Progress | None:
    """A report of an earlier attempt says nothing of this one."""
    progress = reading.progress
    return progress if progress and progress.attempt == attempt else None


def _of_the_living(children: Children, reading: Reading) -> Reading:
    """A learner that is being deleted owes no answer."""
    first = children.first_learner
    return Reading() if first and first.is_deleting and reading.progress is None else reading


def _is_silent(children: Children, reading: Reading) -> bool:
    """Learner 0 has ended or is gone and the Job's end is not reported yet, or one question to it got no answer."""
    if reading.progress is not None:
        return False
    first, job = children.first_learner, children.job
    if first is None:
        return job is not None and job.pods_created > 0
    return first.is_running or first.has_stopped


def _has_spoken(run: GRPORun) -> bool:
    """What the status says of progress is learner 0's own word."""
    progressing = find(run.status.conditions, ConditionType.PROGRESSING)
    return progressing is not None and progressing.reason in REPORTED
