"""Which of several operators works. That a lease runs out or is taken is tested on a real API server."""

import asyncio
from typing import Any

import pytest

from grpo_operator.kube import RefusedError
from grpo_operator.leader import (
    DURATION_S,
    RELEASE_DEADLINE_S,
    RENEW_DEADLINE_S,
    RENEW_EVERY_S,
    Election,
    LeadershipLostError,
    NotLeadingError,
)
from grpo_operator.resources import Resource
from unit.skipping_loop import with_clock


class FakeLeases:
    def __init__(self) -> None:
        self.leases: dict[str, dict[str, Any]] = {}
        self.asked = asyncio.Event()

    async def get(self, resource: Resource, namespace: str, name: str) -> dict[str, Any] | None:
        self.asked.set()
        return self.leases.get(name)

    async def create(self, manifest: dict[str, Any]) -> dict[str, Any]:
        return await self.replace(manifest)

    async def replace(self, manifest: dict[str, Any]) -> dict[str, Any]:
        stored = manifest | {"metadata": manifest["metadata"] | {"resourceVersion": "1"}}
        self.leases[manifest["metadata"]["name"]] = stored
        return stored


async def work() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize(("second_lease", "leading"), [("first", [True, False]), ("second", [True, True])])
def test_two_operators_in_one_namespace(second_lease: str, leading: list[bool]) -> None:
    async def test() -> None:
        kube: Any = FakeLeases()
        elections = [
            Election(kube, "grpo-system", lease, f"operator of {number}")
            for number, lease in enumerate(("first", second_lease))
        ]
        working = []
        for election in elections:
            kube.asked.clear()
            working.append(asyncio.create_task(election.lead(work)))
            await asyncio.wait_for(kube.asked.wait(), 5)
        assert [election.is_leading for election in elections] == leading
        for task in working:
            task.cancel()
        await asyncio.wait(working)

    asyncio.run(test())


class SlowLeases(FakeLeases):
    """Renewals take `held_up_s`."""

    held_up_s = 0.0

    async def replace(self, manifest: dict[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(self.held_up_s)
        return await super().replace(manifest)


def test_nothing_is_written_once_the_lease_may_be_anothers() -> None:
    async def test() -> None:
        kube: Any = SlowLeases()
        election = Election(kube, "grpo-system", "lease", "me")
        with pytest.raises(NotLeadingError):
            election.require_lease()
        leading = asyncio.create_task(election.lead(work))
        await asyncio.sleep(RENEW_DEADLINE_S + 1)
        election.require_lease()
        loop: Any = asyncio.get_running_loop()
        loop.now += RENEW_DEADLINE_S  # the process stood still, and nobody has noticed yet
        with pytest.raises(NotLeadingError):
            election.require_lease()
        leading.cancel()
        await asyncio.wait([leading])
        with pytest.raises(NotLeadingError):
            election.require_lease()

    with_clock(test())


def test_a_leader_that_cannot_renew_its_lease_ends_before_it_runs_out() -> None:
    async def test() -> None:
        kube: Any = SlowLeases()
        leading = asyncio.create_task(Election(kube, "grpo-system", "lease", "me").lead(work))
        await asyncio.sleep(RENEW_EVERY_S)
        kube.held_up_s = 3600
        began = asyncio.get_running_loop().time()
        with pytest.raises(LeadershipLostError):
            await leading
        took_s = asyncio.get_running_loop().time() - began
        assert took_s <= RENEW_DEADLINE_S + RELEASE_DEADLINE_S < DURATION_S

    with_clock(test())


def test_a_lease_is_taken_as_soon_as_it_has_run_out() -> None:
    async def test() -> None:
        kube: Any = FakeLeases()
        theirs = {"holderIdentity": "another", "leaseDurationSeconds": DURATION_S}
        kube.leases["lease"] = {"metadata": {"name": "lease", "resourceVersion": "9"}, "spec": theirs}
        election = Election(kube, "grpo-system", "lease", "me")
        leading = asyncio.create_task(election.lead(work))
        await asyncio.sleep(DURATION_S - 0.1)
        assert not election.is_leading
        await asyncio.sleep(0.2)
        assert election.is_leading
        leading.cancel()
        await asyncio.wait([leading])

    with_clock(test())


class ConflictingLeases(FakeLeases):
    """The next renewals are conflicts, and the lease stays as it is."""

    def __init__(self) -> None:
        super().__init__()
        self.conflicts = 0
        self.renewals: list[str] = []

    async def replace(self, manifest: dict[str, Any]) -> dict[str, Any]:
        if self.conflicts:
            self.conflicts -= 1
            raise RefusedError(409, "the object has been modified")
        self.renewals.append(manifest["spec"]["renewTime"])
        return await super().replace(manifest)


def test_a_lease_that_somebody_has_annotated_is_renewed_all_the_same() -> None:
    async def test() -> None:
        kube: Any = ConflictingLeases()
        leading = asyncio.create_task(Election(kube, "grpo-system", "lease", "me").lead(work))
        await asyncio.sleep(RENEW_EVERY_S + 0.5)
        before = len(kube.renewals)
        kube.conflicts = 1
        await asyncio.sleep(RENEW_EVERY_S)
        assert (kube.conflicts, len(kube.renewals)) == (0, before + 1)
        leading.cancel()
        await asyncio.wait([leading])

    with_clock(test())
