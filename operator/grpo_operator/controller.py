"""Carries out what `reconcile` decides: gathers what a look needs, writes children and status, removes leftovers.

It decides nothing itself, and remembers nothing that a restart must not lose.
"""

import asyncio
import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from time import monotonic
from typing import Any, Final

from grpo_contract.labels import Role
from grpo_operator.api.run import GRPORun, was_looked_at
from grpo_operator.api.status import GRPORunStatus
from grpo_operator.cache import Cache, Key
from grpo_operator.desired.children import Child
from grpo_operator.kube import ApiError, Kube, NotFoundError, OutdatedError, RefusedError
from grpo_operator.metrics import OperatorMetrics
from grpo_operator.progress import ProgressReader
from grpo_operator.reconcile.acceptance import name_taken, refused_child
from grpo_operator.reconcile.changes import ref_of
from grpo_operator.reconcile.events import RunEvent, event_manifest, events_of
from grpo_operator.reconcile.observed import ObservedChild, ObservedClaim, Ref, observe
from grpo_operator.reconcile.phase import has_ended
from grpo_operator.reconcile.plan import Plan
from grpo_operator.reconcile.reconcile import reconcile
from grpo_operator.reconcile.report import with_log
from grpo_operator.reconcile.reward_code import config_maps_to_look_for
from grpo_operator.reconcile.storage import needs_users_claim
from grpo_operator.reconcile.world import Children, Reading, Refusal, World, belongs_to, current_attempt, sort_children
from grpo_operator.resources import BY_KIND, CLAIM, CONFIG_MAP, GRPORUN, POD
from grpo_operator.settings import Settings
from grpo_operator.workqueue import WorkQueue

WORKERS: Final = 16
LOG_LINES: Final = 20
TOKEN_BYTES: Final = 32
EVENTS_AGAIN_S: Final = 5.0
"""Until the next try of an Event that could not be posted. Clusters limit Events by rate, for all of a namespace."""
REMOVED_WITHIN_S: Final = 5.0
"""Until the next try to remove a run or a child of it: somebody may have changed it at the same time."""
CHANGED_AGAIN_S: Final = 1.0
"""Until the next look at a run that has changed since the last one; mostly the watch tells of it before."""

logger = logging.getLogger(__name__)


@dataclass
class _Memory:
    """What saves requests between two looks at one run. After a restart it fills again by itself."""

    uid: str
    full_pass_due: float
    markers: dict[Ref, str] = field(default_factory=dict)
    unposted: list[RunEvent] = field(default_factory=list)
    events_due: float = 0.0
    """Not to be tried before."""
    asked_pod: str | None = None


_FIRST: Final = (CLAIM.kind, CONFIG_MAP.kind)
"""One after the other, before all else."""


def _rank(child: Child) -> int:
    kind, _ = ref_of(child)
    return _FIRST.index(kind) if kind in _FIRST else len(_FIRST)


@dataclass(frozen=True)
class _Written:
    """What became of children that were to be written."""

    refusals: tuple[Refusal, ...] = ()
    """All that are not there as they should be."""
    error: ApiError | None = None
    """One of them was not refused: the same request may succeed soon."""


class Controller:
    def __init__(
        self,
        kube: Kube,
        settings: Settings,
        cache: Cache,
        queue: WorkQueue[Key],
        reader: ProgressReader,
        metrics: OperatorMetrics,
        identity: str,
    ) -> None:
        self._kube, self._settings, self._cache, self._queue = kube, settings, cache, queue
        self._reader, self._metrics, self._identity = reader, metrics, identity
        self._memory: dict[Key, _Memory] = {}

    async def run(self) -> None:
        async with asyncio.TaskGroup() as workers:
            for index in range(WORKERS):
                workers.create_task(self._work(), name=f"worker {index}")

    async def _work(self) -> None:
        while True:
            key = await self._queue.take()
            began = monotonic()
            try:
                again_s = await self._look(key)
            except Exception as error:  # the outermost loop: whatever went wrong, look again later
                self._metrics.failed_to_look(monotonic() - began)
                at_least_s = error.retry_after_s if isinstance(error, ApiError) else 0.0
                _log_failure(key, error, self._queue.add_after_failure(key, at_least_s))
            else:
                self._metrics.looked(monotonic() - began, is_due_again=again_s is not None)
                self._queue.forget_failures(key)
                if again_s is not None:
                    self._queue.add_after(key, again_s)
            finally:
                self._queue.done(key)

    async def _look(self, key: Key) -> float | None:
        """Returns in how many seconds to look again, if nothing is reported before."""
        manifest = self._cache.run(key)
        if manifest is None or "deletionTimestamp" in manifest["metadata"]:
            self._forget(key)  # owner references do the rest
            return None
        run = GRPORun.parse(dict(manifest))
        memory = self._remember(key, run)
        world = await self._observe(key, run, memory)
        now = self._kube.now()
        plan = reconcile(run, world, self._settings, now)
        written = await self._write(run, plan.write, memory)
        if written.error and not self._queue.has_failed(key):
            raise written.error  # mostly it works in a moment
        if written.refusals:
            plan = reconcile(run, replace(world, refusals=written.refusals), self._settings, now)
        elif plan.write and not was_looked_at(manifest):
            return 0.0  # other new runs wait for their children; what is to be said of this one comes after them
        try:
            await self._report(run, plan, memory)
        except NotFoundError:
            return None  # the run was deleted while we looked; the watch will say so
        except OutdatedError:
            return CHANGED_AGAIN_S  # so was the decision
        for child in plan.delete:
            await self._delete(run, child)
        if written.error:
            raise written.error
        if plan.removes_run:
            await self._remove(run)
            return REMOVED_WITHIN_S
        return self._next_look(run, plan, memory)

    async def _delete(self, run: GRPORun, child: ObservedChild) -> None:
        namespace = run.metadata.namespace
        try:
            is_there = await self._kube.delete(BY_KIND[child.kind], namespace, child.name, child.uid)
        except RefusedError as refused:
            if child.kind != POD.kind:
                raise
            # The run goes on without.
            logger.warning("%s/%s may not be deleted: %s", namespace, child.name, refused, extra=_about(_key(run)))
            return
        if not is_there:
            self._cache.drop((child.kind, namespace, child.name), child.uid)  # no watch has told of it, or will
            self._queue.add(_key(run))

    async def _remove(self, run: GRPORun) -> None:
        """As it is now: a watch may be late with news of its author's, and what is removed cannot be had back."""
        seen, (namespace, name) = run.metadata, _key(run)
        found = await self._kube.get(GRPORUN, namespace, name)
        if found is None or (found["metadata"]["uid"], found["metadata"]["generation"]) != (seen.uid, seen.generation):
            return
        logger.info(
            "%s/%s: spec.ttlSecondsAfterFinished have passed since its end; it is removed",
            *(namespace, name),
            extra=_about(_key(run)),
        )
        await self._kube.delete(GRPORUN, namespace, name, seen.uid, found["metadata"]["resourceVersion"])

    async def _observe(self, key: Key, run: GRPORun, memory: _Memory) -> World:
        children = self._cache.children(key)
        if has_ended(run.status.conditions):
            return World(children)
        for child in children:
            memory.markers.setdefault(child.ref, child.marker)
        sorted_children = sort_children(run, children, current_attempt(run, children))
        is_full_pass = monotonic() >= memory.full_pass_due
        return World(
            children=children,
            users_claim=await self._users_claim(run) if needs_users_claim(run, is_full_pass) else None,
            missing_config_maps=await self._missing_config_maps(run, sorted_children),
            reading=await self._reading(key, sorted_children, memory),
            markers=memory.markers,
            is_full_pass=is_full_pass,
            token=secrets.token_hex(TOKEN_BYTES),
        )

    async def _users_claim(self, run: GRPORun) -> ObservedClaim | None:
        assert run.spec.storage.claim_name is not None
        manifest = await self._kube.get(CLAIM, run.metadata.namespace, run.spec.storage.claim_name)
        claim = observe(CLAIM.kind, manifest) if manifest else None
        return claim if isinstance(claim, ObservedClaim) else None

    async def _missing_config_maps(self, run: GRPORun, children: Children) -> tuple[str, ...]:
        names, namespace = config_maps_to_look_for(run, children), run.metadata.namespace
        return tuple([name for name in names if await self._kube.get(CONFIG_MAP, namespace, name) is None])

    async def _reading(self, key: Key, children: Children, memory: _Memory) -> Reading:
        first_learner = children.first_learner
        uid = first_learner.uid if first_learner else None
        if memory.asked_pod not in (None, uid):
            self._reader.forget(memory.asked_pod)
        memory.asked_pod = uid
        if first_learner is None or first_learner.ip is None or not first_learner.is_running:
            return Reading()
        if any(pod.is_deleting for pod in children.learners):
            return Reading()  # to wait for its answer now is to miss what happens to the others
        answer = self._reader.read(first_learner.uid, first_learner.ip, self._kube.now())
        return await self._queue.unless_added(key, answer) or self._reader.newest(first_learner.uid)

    async def _write(self, run: GRPORun, children: Sequence[Child], memory: _Memory) -> _Written:
        """What pods take for granted goes first: pods would write to somebody else's volume where somebody else's claim has its
        name, and do what the last attempt was to do where the configuration is not written yet."""
        written = _Written()
        for _, group in groupby(sorted(children, key=_rank), _rank):
            if not written.refusals:
                written = await self._write_at_once(run, list(group), memory)
        if memory.full_pass_due <= monotonic():
            memory.full_pass_due = monotonic() + self._settings.full_pass_s
        return written

    async def _write_at_once(self, run: GRPORun, children: Sequence[Child], memory: _Memory) -> _Written:
        writes = (self._write_child(run, child, memory) for child in children)
        outcomes = await asyncio.gather(*writes, return_exceptions=True)
        refusals, failed = list[Refusal](), None
        for child, outcome in zip(children, outcomes, strict=True):
            if isinstance(outcome, ApiError):
                failed = failed or outcome
                refusals.append(refused_child(child, str(outcome)))
            elif isinstance(outcome, BaseException):
                raise outcome
            elif outcome:
                refusals.append(outcome)
        return _Written(tuple(refusals), failed)

    async def _write_child(self, run: GRPORun, child: Child, memory: _Memory) -> Refusal | None:
        kind, _ = ref = ref_of(child)
        is_known = ref in memory.markers
        # As long as a child is not known to be ours, what somebody else has set otherwise is a conflict. A ConfigMap of
        # somebody else has no field in common with ours, and would be taken over.
        must_not_exist = child.immutable or (kind == CONFIG_MAP.kind and not is_known)
        try:
            if must_not_exist:
                written = await self._create(child.manifest)
            else:
                written = await self._kube.apply(child.manifest, force=is_known)
        except RefusedError as refused:
            if refused.is_taken and not is_known:
                return name_taken(child)
            if refused.is_conflict and not refused.is_taken:
                raise ApiError(refused.message) from refused
            return refused_child(child, refused.message)
        observed = observe(kind, written)
        if not belongs_to(run, observed):
            return name_taken(child)
        self._cache.put_written(kind, written)
        memory.markers[ref] = observed.marker
        return None

    async def _create(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """The object of this name, whether it was made now or is there already."""
        try:
            return await self._kube.create(manifest)
        except RefusedError as refused:
            if not refused.is_conflict:
                raise
            metadata = manifest["metadata"]
            existing = await self._kube.get(BY_KIND[manifest["kind"]], metadata["namespace"], metadata["name"])
            if existing is None:
                raise ApiError(f"{manifest['kind']} {metadata['name']} was there and is gone") from refused
            return existing

    async def _report(self, run: GRPORun, plan: Plan, memory: _Memory) -> None:
        """Status when it differs, then the Events that tell of the difference."""
        status, metadata = plan.status, run.metadata
        if plan.log_source:
            pod, container = plan.log_source.pod.name, plan.log_source.container
            status = with_log(status, await self._kube.log_tail(metadata.namespace, pod, container, LOG_LINES))
        if _as_json(status) != _as_json(run.status):
            stored = await self._kube.apply_status(
                metadata.namespace, metadata.name, metadata.uid, metadata.resource_version, _as_json(status)
            )
            self._cache.put_written(GRPORUN.kind, stored)
            memory.unposted += events_of(run, status)
            if _has_restarted(run.status, status) and status.last_failure:
                self._metrics.restarted(Role.LEARNER, status.last_failure.reason)
        await self._post_events(run, memory)

    async def _post_events(self, run: GRPORun, memory: _Memory) -> None:
        """One that cannot be posted now is kept: the children that are to be removed hold GPUs, and do not wait for it."""
        while memory.unposted and memory.events_due <= monotonic():
            event = memory.unposted[0]
            try:
                await self._post(run, event)
            except ApiError as error:
                again_s = max(EVENTS_AGAIN_S, error.retry_after_s)
                memory.events_due = monotonic() + again_s
                told = (*_key(run), event.reason, error, again_s)
                logger.warning("%s/%s: Event %s: %s; next try in %.0f s", *told, extra=_about(_key(run)))
            else:
                del memory.unposted[0]

    async def _post(self, run: GRPORun, event: RunEvent) -> None:
        try:
            await self._kube.create(event_manifest(run, event, self._identity, self._kube.now()))
        except RefusedError as refused:
            if not refused.is_conflict:  # posted before, and the answer was lost
                told = (*_key(run), event.reason, refused.message)
                logger.warning("%s/%s: Event %s: %s", *told, extra=_about(_key(run)))

    def _next_look(self, run: GRPORun, plan: Plan, memory: _Memory) -> float | None:
        due = [memory.events_due] if memory.unposted else []
        if not has_ended(plan.status.conditions):
            due.append(memory.full_pass_due)
        if plan.delete:
            due.append(monotonic() + REMOVED_WITHIN_S)
        waits = [max(0.0, time - monotonic()) for time in due]
        return min((wait for wait in (plan.look_again_s, *waits) if wait is not None), default=None)

    def _remember(self, key: Key, run: GRPORun) -> _Memory:
        memory = self._memory.get(key)
        if memory is None or memory.uid != run.metadata.uid:
            self._forget(key)
            # Spread evenly, so that after a restart not all runs are due at once.
            share = int(run.metadata.uid[:8], 16) / 0xFFFFFFFF
            memory = _Memory(run.metadata.uid, monotonic() + self._settings.full_pass_s * (1 - share / 2))
            self._memory[key] = memory
        return memory

    def _forget(self, key: Key) -> None:
        memory = self._memory.pop(key, None)
        if memory and memory.asked_pod:
            self._reader.forget(memory.asked_pod)


def _has_restarted(before: GRPORunStatus, after: GRPORunStatus) -> bool:
    """After a failure or a disruption; an attempt that a suspension ended was not started again."""
    return after.learners.restarts + after.disruptions > before.learners.restarts + before.disruptions


def _as_json(status: GRPORunStatus) -> dict[str, Any]:
    return status.model_dump(mode="json", by_alias=True, exclude_none=True)


def _key(run: GRPORun) -> Key:
    return run.metadata.namespace, run.metadata.name


def _log_failure(key: Key, error: Exception, delay_s: float) -> None:
    if isinstance(error, ApiError):
        logger.warning("%s/%s: %s; next try in %.1f s", *key, error, delay_s, extra=_about(key))
    else:
        logger.error("%s/%s: next try in %.1f s", *key, delay_s, exc_info=error, extra=_about(key))


def _about(key: Key) -> dict[str, str]:
    """For entries of the log: which run they are about."""
    return dict(zip(("namespace", "run"), key, strict=True))
