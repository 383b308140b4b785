"""Everything beside the run, the settings and the time that a decision looks at, and the children in named buckets."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from grpo_contract.labels import Role
from grpo_contract.progress import Progress
from grpo_operator.api.run import GRPORun
from grpo_operator.desired import names
from grpo_operator.reconcile.observed import (
    ObservedChild,
    ObservedClaim,
    ObservedDeployment,
    ObservedJob,
    ObservedPod,
    Ref,
)
from grpo_operator.resources import CLAIM, DEPLOYMENT, JOB


@dataclass(frozen=True)
class Reading:
    """What learner 0 last answered when it was asked for its progress."""

    progress: Progress | None = None
    error: str | None = None
    """Why the last question got no answer."""
    failing_since: datetime | None = None


@dataclass(frozen=True)
class Refusal:
    """A child that could not be written, for a reason that is not ours to repair."""

    reason: str
    message: str
    role: Role | None = None
    """Whose child it is; None: learners and generators need it."""


@dataclass(frozen=True)
class World:
    children: tuple[ObservedChild, ...] = ()
    """Everything that carries the run's label, whoever owns it."""
    users_claim: ObservedClaim | None = None
    """The claim that `storage.claimName` names; None when it does not exist, or was not looked for."""
    missing_config_maps: tuple[str, ...] = ()
    """Of those that learners will mount, when their pods are about to be made."""
    reading: Reading = Reading()
    refusals: tuple[Refusal, ...] = ()
    markers: Mapping[Ref, str] = field(default_factory=dict)
    """Of the mutable children as we last wrote or first saw them."""
    is_full_pass: bool = False
    """Write every mutable child, whatever is known of it."""
    token: str = ""


@dataclass(frozen=True)
class Children:
    """A run's children in buckets."""

    own: Mapping[Ref, ObservedChild]
    """Owned by this run, pods left out."""
    foreign: Mapping[Ref, ObservedChild]
    """They carry the run's label but belong to somebody else: mostly a deleted run of the same name."""
    job: ObservedJob | None
    """The learners of the current attempt."""
    previous_jobs: tuple[ObservedJob, ...]
    """The learners of earlier attempts."""
    deployment: ObservedDeployment | None
    claim: ObservedClaim | None
    learners: tuple[ObservedPod, ...]
    """Of the current attempt, in the order of their index."""
    previous_learners: tuple[ObservedPod, ...]
    """Of earlier attempts: they are on their way out and may still hold GPUs and write checkpoints."""
    generators: tuple[ObservedPod, ...]
    benchmark_jobs: Mapping[str, ObservedJob]
    """{target: Job}"""
    benchmark_pods: tuple[ObservedPod, ...]

    @property
    def first_learner(self) -> ObservedPod | None:
        return next((pod for pod in self.learners if pod.index == 0), None)


_FIRST_ATTEMPT: Final = 1


def current_attempt(run: GRPORun, children: Iterable[ObservedChild]) -> int:
    """Status and Jobs are written one after the other; whichever is ahead is right."""
    attempts = [child.attempt for child in children if isinstance(child, ObservedJob) and belongs_to(run, child)]
    return max(_FIRST_ATTEMPT, run.status.attempt, *attempts, 0)


def sort_children(run: GRPORun, children: Iterable[ObservedChild], attempt: int) -> Children:
    pods = [child for child in children if isinstance(child, ObservedPod) and child.run_uid == run.metadata.uid]
    others = [child for child in children if not isinstance(child, ObservedPod)]
    own = {child.ref: child for child in others if belongs_to(run, child)}
    jobs = [child for child in own.values() if isinstance(child, ObservedJob)]
    learner_jobs = [job for job in jobs if job.benchmark is None]
    learners = [pod for pod in pods if pod.role is Role.LEARNER]
    name = run.metadata.name
    deployment = own.get((DEPLOYMENT.kind, names.generator_deployment(name)))
    claim = own.get((CLAIM.kind, names.claim(name)))
    job = own.get((JOB.kind, names.learner_job(name, attempt)))
    return Children(
        own=own,
        foreign={child.ref: child for child in others if not belongs_to(run, child)},
        job=job if isinstance(job, ObservedJob) else None,
        previous_jobs=tuple(job for job in learner_jobs if job.attempt < attempt),
        deployment=deployment if isinstance(deployment, ObservedDeployment) else None,
        claim=claim if isinstance(claim, ObservedClaim) else None,
        learners=tuple(sorted((pod for pod in learners if pod.attempt == attempt), key=_index)),
        previous_learners=tuple(pod for pod in learners if pod.attempt is not None and pod.attempt < attempt),
        generators=tuple(sorted((pod for pod in pods if pod.role is Role.GENERATOR), key=_name)),
        benchmark_jobs={job.benchmark: job for job in jobs if job.benchmark is not None},
        benchmark_pods=tuple(sorted((pod for pod in pods if pod.role is Role.BENCHMARK), key=_name)),
    )


def belongs_to(run: GRPORun, child: ObservedChild) -> bool:
    """By label, without which no watch tells of it, and by owner. A retained claim has no owner: a new run of the same
    name takes it up again."""
    if child.run_name != run.metadata.name:
        return False
    if child.owner_uid is None and isinstance(child, ObservedClaim):
        return run.spec.storage.retain
    return child.owner_uid == run.metadata.uid


def _name(pod: ObservedPod) -> str:
    return pod.name


def _index(pod: ObservedPod) -> int:
    return pod.index or 0
