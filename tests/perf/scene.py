"""Where a measurement takes place: a fresh simulated cluster whose audit log is followed."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from harness.installation import OPERATOR_NAMESPACE
from harness.kubectl import Kubectl
from harness.waiting import wait_for
from perf.audit_log import Request, creations, is_write, parse_line
from perf.creators import NAMESPACE
from simulated.cluster import simulated_cluster
from simulated.operator_process import ACCOUNT, operator_kubeconfig
from simulated.runs import run_manifest, volume

OPERATOR_USER = f"system:serviceaccount:{OPERATOR_NAMESPACE}:{ACCOUNT}"
PODS_PER_NODE = 100
SPARE_NODES = 2
# Of multicast groups, which TCP refuses at once, as a real learner does while it starts: addresses that lead nowhere
# would let the operator wait for each of them, and the endpoints of Services must not be loopback addresses.
POD_ADDRESSES = "239.64.0.0/16"

CHILDREN = (
    "configmaps", "secrets", "persistentvolumeclaims", "services", "networkpolicies", "deployments", "jobs",
)  # fmt: skip
CHILDREN_PER_RUN = 9
PODS_PER_RUN = 4

QUIET_S = 4.0
LOOK_EVERY_S = 0.25
WARM_RUN = "warm"


class AuditLog:
    """All requests that were answered so far."""

    def __init__(self, file: Path) -> None:
        self._file, self._position = file, 0
        self._requests: list[Request] = []

    def read(self) -> list[Request]:
        with self._file.open("rb") as log:
            log.seek(self._position)
            whole_lines = log.read().rpartition(b"\n")[0]
        if whole_lines:
            self._position += len(whole_lines) + 1
            self._requests += filter(None, map(parse_line, whole_lines.splitlines()))
        return self._requests


@dataclass(frozen=True)
class Scene:
    kubectl: Kubectl
    operator_kubeconfig: Path
    folder: Path
    log: AuditLog

    @property
    def admin_kubeconfig(self) -> Path:
        assert self.kubectl.kubeconfig is not None
        return self.kubectl.kubeconfig

    def wait_for_objects(self, resources: tuple[str, ...], count: int, since: int, timeout_s: float) -> None:
        """`since`: how many requests had been answered before those that count."""
        seen, found = since, 0

        def are_there() -> bool:
            nonlocal seen, found
            new = self.log.read()[seen:]
            seen, found = seen + len(new), found + len(creations(new, resources, NAMESPACE, maker(resources)))
            return found >= count

        wait_for(f"{count} new objects among {', '.join(resources)}", are_there, timeout_s, LOOK_EVERY_S)

    def wait_until_quiet(self, timeout_s: float) -> None:
        """Nothing was written in the runs' namespace for QUIET_S."""
        seen, last_write = len(self.log.read()), time.time()

        def is_quiet() -> bool:
            nonlocal seen, last_write
            new = self.log.read()[seen:]
            seen += len(new)
            writes = [entry.answered for entry in new if entry.namespace == NAMESPACE and is_write(entry)]
            last_write = max([last_write, *writes])
            return time.time() - last_write >= QUIET_S

        wait_for("no more writes", is_quiet, timeout_s, LOOK_EVERY_S)


@contextmanager
def fresh_scene(folder: Path, runs: int) -> Iterator[Scene]:
    """With nodes for the pods of `runs` runs. A run is there already: the API server has dealt with its first one."""
    folder.mkdir()
    audit_log = folder / "audit.log"
    nodes = runs * PODS_PER_RUN // PODS_PER_NODE + SPARE_NODES
    with simulated_cluster(folder, nodes, POD_ADDRESSES, audit_log) as kubectl:
        warm = yaml.safe_dump_all([volume(f"{WARM_RUN}-volume"), run_manifest(WARM_RUN)])
        kubectl("apply", "-f", "-", stdin=warm)
        yield Scene(kubectl, operator_kubeconfig(kubectl, folder), folder, AuditLog(audit_log))


def maker(resources: tuple[str, ...]) -> str | None:
    """Children are counted by who makes them: the cluster makes ConfigMaps of its own. Pods are the cluster's."""
    return OPERATOR_USER if resources == CHILDREN else None
