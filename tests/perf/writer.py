"""Writes manifests to the API server, many at a time, over few connections: as fast as a client in Python can."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from grpo_operator.resources import Resource
from harness.kubectl import Manifest

CONNECTIONS = 32
FIELD_MANAGER = "raw-creator"
APPLY = "application/apply-patch+yaml"
# A burst waits for its connections far longer than any single request takes.
NO_DEADLINE = aiohttp.ClientTimeout(total=None, sock_read=60)


class Writer:
    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def create(self, resource: Resource, manifest: Manifest) -> Manifest:
        path = resource.path(manifest["metadata"].get("namespace"))
        return await self._send("POST", path, manifest, "application/json")

    async def apply(self, resource: Resource, manifest: Manifest) -> Manifest:
        metadata = manifest["metadata"]
        return await self._apply(resource.path(metadata["namespace"], metadata["name"]), manifest)

    async def apply_status(self, resource: Resource, manifest: Manifest) -> Manifest:
        metadata = manifest["metadata"]
        return await self._apply(resource.path(metadata["namespace"], metadata["name"], "status"), manifest)

    async def _apply(self, path: str, manifest: Manifest) -> Manifest:
        return await self._send("PATCH", f"{path}?fieldManager={FIELD_MANAGER}", manifest, APPLY)

    async def _send(self, method: str, path: str, manifest: Manifest, content_type: str) -> Manifest:
        headers = {"Content-Type": content_type}
        async with self._session.request(method, path, json=manifest, headers=headers) as answer:
            answer.raise_for_status()
            stored: dict[str, Any] = await answer.json()
        return stored


@asynccontextmanager
async def connected_writer(config: Manifest) -> AsyncIterator[Writer]:
    """As the only user of a kubeconfig, who has a token."""
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    connector = aiohttp.TCPConnector(
        limit=CONNECTIONS, ssl=ssl.create_default_context(cafile=cluster["certificate-authority"])
    )
    headers = {"Authorization": f"Bearer {user['token']}"}
    async with aiohttp.ClientSession(
        cluster["server"], connector=connector, headers=headers, timeout=NO_DEADLINE
    ) as session:
        yield Writer(session)
