"""Benchmarked: which of a run's models are to be benchmarked, and how far that is. One at a time, the oldest first.

A benchmark must not take the GPUs of a learner that has to come back: it starts while all of them are ready, or when the
run is over. Its trouble is none of the run's, which goes on, and ends, without it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pydantic import ValidationError

from grpo_contract.benchmarks import TRAINED_MODEL, BenchmarkScores, target_of
from grpo_contract.files import benchmarks_folder
from grpo_contract.labels import Role
from grpo_contract.progress import Progress
from grpo_contract.recipe.comparison import LOADS_BEST
from grpo_operator.api.run import GRPORun
from grpo_operator.api.status import BENCHMARK_OVER, BenchmarkPhase, BenchmarkStatus, ConditionType, GRPORunStatus
from grpo_operator.desired.benchmarks import WAITS_S, build_benchmark_job
from grpo_operator.desired.children import Child
from grpo_operator.reconcile.acceptance import taken_names
from grpo_operator.reconcile.completion import REPORT_GRACE_S
from grpo_operator.reconcile.conditions import Statement, is_true
from grpo_operator.reconcile.observed import ObservedContainer, ObservedJob, ObservedPod
from grpo_operator.reconcile.reasons import Reason
from grpo_operator.reconcile.reported import rounded
from grpo_operator.reconcile.termination import failure_in
from grpo_operator.reconcile.world import Children, Refusal
from grpo_operator.settings import Settings

MOST_ENTRIES: Final = 100
"""In the status."""

MESSAGE_CHARACTERS: Final = 500
"""Of an entry."""

_DEADLINE: Final = "DeadlineExceeded"
"""Of a Job that did not end in time, in the words of the Job controller, and of a pod, in the kubelet's."""


@dataclass(frozen=True)
class Benchmarks:
    """What a look has found and decided of them."""

    entries: list[BenchmarkStatus]
    statement: Statement
    job: Child | None = None
    """To be made."""
    withdrawn: Sequence[ObservedJob] = ()
    """To be removed."""
    look_again_s: float | None = None


def judge_benchmarks(
    run: GRPORun,
    status: GRPORunStatus,
    settings: Settings,
    children: Children,
    progress: Progress | None,
    refusals: Iterable[Refusal],
    now: datetime,
) -> Benchmarks | None:
    """None of a run whose recipe asks for none. `status`: what is to be said of the run otherwise."""
    if not run.spec.recipe.get("benchmarks"):
        return None
    if not settings.benchmarks.image:
        return Benchmarks(status.benchmarks, _NO_IMAGE)
    known = known_targets(run, status, progress)
    entries = [_looked_at(run, settings, entry, children, now) for entry in known]
    current = _current(entries, has_failed=is_true(status.conditions, ConditionType.FAILED))
    job = children.benchmark_jobs.get(current.target) if current else None
    may_start = learners_have_all(status)
    wanted = build_benchmark_job(run, settings, current.target) if current and job is None and may_start else None
    taken = taken_names([wanted] if wanted else [], children.foreign)
    refused = next((refusal for refusal in [*taken, *refusals] if refusal.role is Role.BENCHMARK), None)
    return Benchmarks(
        entries=entries[-MOST_ENTRIES:],
        statement=_refused(refused) if refused else _statement(entries, current, children, may_start),
        job=None if taken else wanted,
        withdrawn=[
            *_too_slow(entries, children),
            *([job] if job and _must_give_way(job, status, children) else []),
        ],
        look_again_s=REPORT_GRACE_S if job and _ended_at(job) else None,
    )


def known_targets(run: GRPORun, status: GRPORunStatus, progress: Progress | None) -> list[BenchmarkStatus]:
    """Those that the status knows, those that learner 0 tells of, and the trained model once the run has succeeded, unless
    it is a checkpoint's that is benchmarked anyway."""
    told = [BenchmarkStatus(target=target_of(step), step=step) for step in (progress.kept_models if progress else ())]
    known = {entry.target: entry for entry in [*told, *status.benchmarks]}
    if is_true(status.conditions, ConditionType.SUCCEEDED) and status.model is not None:
        step = _trained_step(run, status)
        same = known.get(target_of(step)) if step is not None else None
        if same is None or same.phase is BenchmarkPhase.FAILED:
            entry = BenchmarkStatus(target=TRAINED_MODEL, step=status.progress.step if step is None else step)
            known.setdefault(TRAINED_MODEL, entry)
    return sorted(known.values(), key=lambda entry: (entry.target == TRAINED_MODEL, entry.step, entry.target))


def _trained_step(run: GRPORun, status: GRPORunStatus) -> int | None:
    """Whose weights the trained model has, and so has the checkpoint of that step. None: learners of an older image, which
    load the best model, do not say of which step it is."""
    if not run.spec.recipe.get(LOADS_BEST):
        return status.progress.step
    best = status.evaluation and status.evaluation.best
    return best.step if best else None


def learners_have_all(status: GRPORunStatus) -> bool:
    """What they need; of a run that is over, for ever."""
    ended = (ConditionType.SUCCEEDED, ConditionType.FAILED)
    return any(is_true(status.conditions, kind) for kind in (ConditionType.LEARNERS_READY, *ended))


def _must_give_way(job: ObservedJob, status: GRPORunStatus, children: Children) -> bool:
    """To learners, while it has no node; to a suspension, which leaves no pod, until it has ended."""
    if status.suspended_at is not None:
        return _ended_at(job) is None
    return not (learners_have_all(status) or _has_node(job, children))


def _too_slow(entries: Iterable[BenchmarkStatus], children: Children) -> list[ObservedJob]:
    """Jobs that would try once more what did not end in time, for as long again."""
    failed = (children.benchmark_jobs.get(entry.target) for entry in entries if entry.phase is BenchmarkPhase.FAILED)
    return [job for job in failed if job is not None and _ended_at(job) is None]


def _has_node(job: ObservedJob, children: Children) -> bool:
    """A pod of it, which then holds what it asks for."""
    return any(pod.node is not None for pod in _pods_of(job.benchmark, children))


def _pods_of(target: str | None, children: Children) -> list[ObservedPod]:
    return [pod for pod in children.benchmark_pods if pod.benchmark == target]


def _current(entries: Sequence[BenchmarkStatus], has_failed: bool) -> BenchmarkStatus | None:
    """A run that has failed starts no other."""
    waiting = [] if has_failed else [entry for entry in entries if entry.phase is BenchmarkPhase.PENDING]
    running = [entry for entry in entries if entry.phase is BenchmarkPhase.RUNNING]
    return next(iter([*running, *waiting]), None)


def _looked_at(
    run: GRPORun, settings: Settings, entry: BenchmarkStatus, children: Children, now: datetime
) -> BenchmarkStatus:
    """Its Job is removed a while after its end, and what was found stays. One that somebody removed is made again."""
    job = children.benchmark_jobs.get(entry.target)
    if entry.phase in BENCHMARK_OVER:
        return entry
    if job is None:
        return entry.model_copy(update={"phase": BenchmarkPhase.PENDING})
    pods = _pods_of(entry.target, children)
    scores = next((scores for pod in pods if (scores := scores_of(pod))), None)
    if scores is not None:
        readable = {
            task: {name: rounded(value) for name, value in found.items()} for task, found in scores.scores.items()
        }
        return entry.model_copy(update={"phase": BenchmarkPhase.SUCCEEDED, "scores": readable})
    why = _why_failed(job, pods, settings, now)
    if why is None:
        return entry.model_copy(update={"phase": BenchmarkPhase.RUNNING})
    where = benchmarks_folder(run.metadata.name, run.metadata.uid) / entry.target
    message = f"{why[:MESSAGE_CHARACTERS].rstrip('.')}. What it has written lies in {where} on the volume."
    return entry.model_copy(update={"phase": BenchmarkPhase.FAILED, "message": message})


def scores_of(pod: ObservedPod) -> BenchmarkScores | None:
    for container in pod.containers:
        if container.ended_well and container.ended is not None and container.ended.message:
            try:
                return BenchmarkScores.model_validate_json(container.ended.message)
            except ValidationError:
                continue  # the command's own words
    return None


def _ended_at(job: ObservedJob) -> datetime | None:
    return job.failure.since if job.failure else job.completed_at


def _why_failed(job: ObservedJob, pods: Sequence[ObservedPod], settings: Settings, now: datetime) -> str | None:
    """None while it has not, or while its pods' own news may be on their way."""
    if any(pod.evicted and pod.evicted.reason == _DEADLINE for pod in pods):
        given = _hours(settings.benchmarks.timeout_s)
        return f"It did not end within {given} on its node (benchmarks.timeoutSeconds of the operator's chart)"
    ended_at = _ended_at(job)
    if ended_at is None:
        return None
    if job.failure and job.failure.reason == _DEADLINE:
        room = next((f" ({pod.unschedulable.message.rstrip('.')})" for pod in pods if pod.unschedulable), "")
        days = WAITS_S // 86400
        return f"For {days} days its pods have waited for nodes, or were taken away from them{room}"
    if told := next((words for pod in reversed(pods) if (words := _last_words(pod))), None):
        return told
    if (now - ended_at).total_seconds() < REPORT_GRACE_S:
        return None
    return "Its pod is gone with its words" + (f" ({job.failure.message.rstrip('.')})" if job.failure else "")


def _hours(seconds: float) -> str:
    hours = f"{seconds / 3600:.3g}"
    return f"{hours} hour" if hours == "1" else f"{hours} hours"


def _last_words(pod: ObservedPod) -> str | None:
    for container in pod.containers:
        ended = container.ended
        if ended and ended.exit_code != 0:
            failure = failure_in(ended)
            lines = ended.message.strip().splitlines()
            said = failure.message if failure else lines[-1] if lines else ended.reason
            return (
                f"Container {container.name} of pod {pod.name} ended with exit code {ended.exit_code} ({said.rstrip('.')}): see "
                f"`kubectl logs {pod.name} -c {container.name}` in the run's namespace"
            )
    return None


def _refused(refusal: Refusal) -> Statement:
    return Statement(ConditionType.BENCHMARKED, "False", refusal.reason, refusal.message)


def _statement(
    entries: Sequence[BenchmarkStatus], current: BenchmarkStatus | None, children: Children, may_start: bool
) -> Statement:
    if not entries:
        return _NOTHING_YET
    counts = {phase: sum(entry.phase is phase for entry in entries) for phase in BenchmarkPhase}
    tally = f"{counts[BenchmarkPhase.SUCCEEDED]} of {len(entries)} models are benchmarked."
    if failed := counts[BenchmarkPhase.FAILED]:
        tally += f" {failed} failed."
    if current:
        doing = f"{current.target} is being benchmarked{_hindrance(_pods_of(current.target, children))}."
        if not may_start and current.target not in children.benchmark_jobs:
            doing = f"{current.target} waits until all learners are ready: they come first."
        return Statement(ConditionType.BENCHMARKED, "False", Reason.BENCHMARK_RUNNING, f"{tally} {doing}")
    newest = next((entry for entry in reversed(entries) if entry.phase is BenchmarkPhase.FAILED), None)
    if newest:
        text = f"{tally} {newest.target}: {newest.message}"
        return Statement(ConditionType.BENCHMARKED, "False", Reason.BENCHMARK_FAILED, text)
    is_all = counts[BenchmarkPhase.SUCCEEDED] == len(entries)
    reason = Reason.BENCHMARKS_DONE if is_all else Reason.RUN_ENDED
    return Statement(ConditionType.BENCHMARKED, "True" if is_all else "False", reason, tally)


def _hindrance(pods: Sequence[ObservedPod]) -> str:
    """What keeps its pod from its work, of which the chart's values know more than the run."""
    for pod in pods:
        if pod.is_over or pod.is_deleting:
            continue
        if pod.unschedulable:
            return f", and its pod {pod.name} fits no node ({pod.unschedulable.message.rstrip('.')})"
        if pod.being_set_up_since:
            return f", once the node of its pod {pod.name} has mounted its volumes"
        if waiting := next((said for container in pod.containers if (said := _waiting_words(container))), None):
            return f", and its pod {pod.name} does not start ({waiting})"
    return ""


def _waiting_words(container: ObservedContainer) -> str | None:
    """Only what does not pass by itself has a message."""
    waiting = container.waiting
    return f"{waiting.reason}: {waiting.message.rstrip('.')}" if waiting and waiting.message else None


_NO_IMAGE: Final = Statement(
    ConditionType.BENCHMARKED,
    "False",
    Reason.NO_BENCHMARK_IMAGE,
    "spec.recipe.benchmarks asks for benchmarks, and this operator has no image for them: have benchmarks.image set in the values "
    "of its chart, or leave benchmarks out. The run goes on without.",
)

_NOTHING_YET: Final = Statement(
    ConditionType.BENCHMARKED,
    "False",
    Reason.NOTHING_TO_BENCHMARK,
    "No checkpoint of the recipe's save_* keys was written yet, nor is the model trained.",
)
