"""Who makes the objects of a burst: a person who creates runs, or a raw creator that also does the operator's part,
without looking at anything.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import yaml

from grpo_operator.api.run import GRPORun
from grpo_operator.desired.children import build_children
from grpo_operator.resources import BY_KIND, GRPORUN, Resource
from grpo_operator.settings import Settings
from harness.kubectl import Manifest
from perf.writer import Writer, connected_writer
from simulated.operator_process import SETTINGS
from simulated.runs import run_manifest, volume

NAMESPACE = "default"
VOLUME = Resource("PersistentVolume", "", "v1", "persistentvolumes")
FIRST_ATTEMPT = 1
TOKEN = "0" * 64


def make_volumes(kubeconfig: Path, names: Sequence[str]) -> None:
    """One for the claim of each run, as a provisioner would."""
    config = _read(kubeconfig)

    async def create() -> None:
        async with connected_writer(config) as writer:
            await asyncio.gather(*(writer.create(VOLUME, volume(f"{name}-volume")) for name in names))

    asyncio.run(create())


def create_runs(kubeconfig: Path, names: Sequence[str]) -> None:
    config = _read(kubeconfig)

    async def create() -> None:
        async with connected_writer(config) as writer:
            await asyncio.gather(*(_create_run(writer, name) for name in names))

    asyncio.run(create())


def create_runs_with_children(kubeconfig: Path, names: Sequence[str]) -> None:
    """Each run, and then all its children at once by server-side apply."""
    config = _read(kubeconfig)

    async def create() -> None:
        async with connected_writer(config) as writer:
            await asyncio.gather(*(_create_with_children(writer, name) for name in names))

    asyncio.run(create())


def _read(kubeconfig: Path) -> Manifest:
    config: Manifest = yaml.safe_load(kubeconfig.read_text())
    return config


async def _create_run(writer: Writer, name: str) -> Manifest:
    manifest = run_manifest(name)
    manifest["metadata"]["namespace"] = NAMESPACE
    return await writer.create(GRPORUN, manifest)


async def _create_with_children(writer: Writer, name: str) -> None:
    run = GRPORun.parse(await _create_run(writer, name))
    children = build_children(run, Settings.model_validate(SETTINGS), FIRST_ATTEMPT, TOKEN)
    manifests = [child.manifest for child in children]
    await asyncio.gather(*(writer.apply(BY_KIND[manifest["kind"]], manifest) for manifest in manifests))
