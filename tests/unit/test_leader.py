"""Which of several operators works. That a lease runs out or is taken is tested on a real API server."""

import asyncio
from typing import Any

import pytest

from grpo_operator.leader import Election
from grpo_operator.resources import Resource


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
