"""What a write of a run's status costs the API server, which judges all rules of the custom resource with each."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import yaml

from grpo_operator.resources import GRPORUN
from harness.control_plane import running_control_plane
from harness.crd import apply_crd, wait_for_storage
from harness.kubectl import Kubectl, Manifest
from perf.creators import NAMESPACE, create_runs
from perf.writer import connected_writer

NAME = "written"
WARM_UP = 50
WRITES = 300
CPU = "process_cpu_seconds_total "


def measure_status_writes(folder: Path) -> float:
    """Seconds of processor time per write to a run that trains."""
    folder.mkdir()
    with running_control_plane(folder) as kubectl:
        apply_crd(kubectl)
        wait_for_storage(kubectl)
        assert kubectl.kubeconfig is not None
        create_runs(kubectl.kubeconfig, [NAME])
        config = yaml.safe_load(kubectl.kubeconfig.read_text())
        asyncio.run(_write(config, range(WARM_UP)))
        before = _cpu_s(kubectl)
        asyncio.run(_write(config, range(WARM_UP, WARM_UP + WRITES)))
        return (_cpu_s(kubectl) - before) / WRITES


async def _write(config: Manifest, steps: range) -> None:
    async with connected_writer(config) as writer:
        for step in steps:
            await writer.apply_status(GRPORUN, _at_step(step))


def _at_step(step: int) -> Manifest:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    conditions = [
        {
            "type": kind,
            "status": "True",
            "reason": "Known",
            "message": "",
            "observedGeneration": 1,
            "lastTransitionTime": now,
        }
        for kind in ("Accepted", "StorageReady", "LearnersReady", "GeneratorsReady", "Progressing")
    ]
    status = {"startedAt": now, "attempt": 1, "phase": "Running", "progress": {"step": step}, "conditions": conditions}
    metadata = {"name": NAME, "namespace": NAMESPACE}
    return {"apiVersion": GRPORUN.api_version, "kind": GRPORUN.kind, "metadata": metadata, "status": status}


def _cpu_s(kubectl: Kubectl) -> float:
    lines = kubectl("get", "--raw", "/metrics").splitlines()
    (seconds,) = (line.removeprefix(CPU) for line in lines if line.startswith(CPU))
    return float(seconds)
