"""One replica works at a time: a Lease that the working one renews, and that another takes over when it does not.

A renewal counts from before it was asked for, and the work is stopped well before another replica may hold that the
lease has run out; a process that was held up meanwhile writes nothing more. A lease is judged by when this process saw it
change, never by comparing clocks of two machines.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, Final

from grpo_operator.kube import ApiError, Kube, Manifest, NotFoundError, RefusedError
from grpo_operator.reconcile.conditions import micro_timestamp
from grpo_operator.resources import LEASE

DURATION_S: Final = 12
"""A replica that is killed has a successor within 15 s: it may be up to RETRY_EVERY_S until its last renewal is seen."""
RENEW_DEADLINE_S: Final = 8.0
RENEW_EVERY_S: Final = 3.0
RETRY_EVERY_S: Final = 1.0
RELEASE_DEADLINE_S: Final = 2.0

logger = logging.getLogger(__name__)


class LeadershipLostError(Exception):
    """Ends the process: what it still has in mind may be outdated."""


class NotLeadingError(ApiError):
    """The lease may be another's by now."""


class Election:
    def __init__(self, kube: Kube, namespace: str, lease_name: str, identity: str) -> None:
        self._kube, self._namespace, self._lease_name, self._identity = kube, namespace, lease_name, identity
        self._seen: tuple[str, float] = ("", 0.0)
        """Version of the lease that somebody else holds, and when it was first seen."""
        self._runs_out_at: float | None = None
        """That lease, as far as this process knows."""
        self._held_until = 0.0
        """So long nobody else can hold that the lease has run out."""
        self.is_leading = False

    def require_lease(self) -> None:
        """To ask before each write: this process may have stood still, and has not come to stop its work yet."""
        if _now() >= self._held_until:
            raise NotLeadingError("not sent: the lease was not renewed in time, and may be another replica's")

    async def lead(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Waits for the lease, works as long as it is held, and gives it back in the end."""
        lease, asked_at = await self._win()
        self._held_until = asked_at + RENEW_DEADLINE_S
        logger.info("leading as %s", self._identity)
        self.is_leading = True
        worker = asyncio.create_task(work(), name="work")
        try:
            await self._hold(lease, worker)
        finally:
            self._held_until = 0.0
            worker.cancel()
            await asyncio.wait([worker])
            self.is_leading = False
            await self._give_back()

    async def _win(self) -> tuple[Manifest, float]:
        while True:
            asked_at = _now()
            try:
                if lease := await self._try_to_take():
                    return lease, asked_at
            except ApiError as error:
                logger.warning("the lease cannot be asked for: %s", error)
            await asyncio.sleep(self._pause_s())

    def _pause_s(self) -> float:
        """Until the lease may have run out, where that is soon."""
        rest_s = self._runs_out_at - _now() if self._runs_out_at else RETRY_EVERY_S
        return min(RETRY_EVERY_S, rest_s) if rest_s > 0 else RETRY_EVERY_S

    async def _try_to_take(self) -> Manifest | None:
        lease = await self._kube.get(LEASE, self._namespace, self._lease_name)
        try:
            if lease is None:
                return await self._kube.create(self._ours(transitions=0))
            if self._is_held_by_another(lease):
                return None
            taken = self._ours(transitions=lease["spec"].get("leaseTransitions", 0) + 1)
            return await self._kube.replace(taken | {"metadata": lease["metadata"]})
        except RefusedError as refused:
            if refused.is_conflict:
                return None  # another replica was faster
            raise

    def _is_held_by_another(self, lease: Manifest) -> bool:
        version, spec = lease["metadata"]["resourceVersion"], lease["spec"]
        if version != self._seen[0]:
            self._seen = version, _now()
        self._runs_out_at = self._seen[1] + spec.get("leaseDurationSeconds", DURATION_S)
        has_run_out = _now() >= self._runs_out_at
        return spec.get("holderIdentity", "") not in ("", self._identity) and not has_run_out

    async def _hold(self, lease: Manifest, worker: asyncio.Task[None]) -> None:
        pause_s = RENEW_EVERY_S
        while not (await asyncio.wait([worker], timeout=pause_s))[0]:
            asked_at = _now()
            try:
                async with asyncio.timeout_at(self._held_until):
                    lease = await self._renew(lease)
                self._held_until, pause_s = asked_at + RENEW_DEADLINE_S, RENEW_EVERY_S
            except TimeoutError:
                raise LeadershipLostError(f"the lease was not renewed within {RENEW_DEADLINE_S:.0f} s") from None
            except ApiError as error:
                logger.warning("the lease could not be renewed: %s", error)
                pause_s = RETRY_EVERY_S
        await worker

    async def _renew(self, lease: Manifest) -> Manifest:
        renewed = lease["spec"] | {"renewTime": micro_timestamp(datetime.now(UTC))}
        try:
            return await self._kube.replace(lease | {"spec": renewed})
        except NotFoundError:
            raise LeadershipLostError("the lease was deleted") from None
        except RefusedError as refused:
            if not refused.is_conflict:
                raise
        current = await self._kube.get(LEASE, self._namespace, self._lease_name)
        if current is None or current["spec"].get("holderIdentity") != self._identity:
            raise LeadershipLostError("another replica has taken the lease")
        # Our own renewal whose answer was lost, or somebody's annotation, which renews nothing.
        return await self._kube.replace(current | {"spec": renewed})

    async def _give_back(self) -> None:
        """So that the next replica need not wait. Without success it waits for the lease to run out."""
        with contextlib.suppress(ApiError, TimeoutError):
            async with asyncio.timeout(RELEASE_DEADLINE_S):
                lease = await self._kube.get(LEASE, self._namespace, self._lease_name)
                if lease and lease["spec"].get("holderIdentity") == self._identity:
                    spec = lease["spec"] | {"holderIdentity": "", "leaseDurationSeconds": 1}
                    await self._kube.replace(lease | {"spec": spec})

    def _ours(self, transitions: int) -> Manifest:
        return {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.kind,
            "metadata": {"name": self._lease_name, "namespace": self._namespace},
            "spec": {
                "holderIdentity": self._identity,
                "leaseDurationSeconds": DURATION_S,
                "acquireTime": micro_timestamp(datetime.now(UTC)),
                "renewTime": micro_timestamp(datetime.now(UTC)),
                "leaseTransitions": transitions,
            },
        }


def _now() -> float:
    return asyncio.get_running_loop().time()
