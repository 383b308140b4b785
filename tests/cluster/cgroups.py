"""The cgroup trees that say which processes belong to the cluster: one tree per node and one for the control plane.

Ending the cluster is ending what is in these trees; nothing is ever found by its name or its command line. The trees
have one of two layouts, by what is mounted; beyond the two classes nobody need know which.
"""

import contextlib
import errno
import os
import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cluster.layout import CONTROL_PLANE, PREFIX
from cluster.waiting import ClusterError, wait_for

FILE_SYSTEM = Path("/sys/fs/cgroup")
VANISHED = (errno.ENOENT, errno.ENODEV)  # a container that has just ended takes its group along
# What runc limits, and what the kubelet refuses to start without where the kernel has it.
CONTROLLERS = ("cpuset", "cpu", "io", "memory", "hugetlb", "pids")


@dataclass(frozen=True)
class Version1:
    """A hierarchy per controller, also beside an empty version 2 one (systemd's hybrid layout)."""

    hierarchies: tuple[Path, ...]

    @property
    def tree(self) -> Path:
        """The hierarchy whose groups say which processes are ours."""
        return next(hierarchy for hierarchy in self.hierarchies if hierarchy.name == "pids")

    def create(self, group: str) -> Path:
        """Make the group in every hierarchy (the kubelet insists) and return the file that takes in a process."""
        for hierarchy in self.hierarchies:
            folder = hierarchy / (PREFIX + group)
            folder.mkdir(exist_ok=True)
            if hierarchy.name == "cpuset":  # a new cpuset is empty, and nothing can run in it
                for file in ("cpuset.cpus", "cpuset.mems"):
                    (folder / file).write_text((hierarchy / file).read_text())
        return self.tree / (PREFIX + group) / "cgroup.procs"

    def tops(self) -> Iterable[Path]:
        # Also below `unified`, where we make none but runc does.
        return FILE_SYSTEM.glob(f"*/{PREFIX}*")


@dataclass(frozen=True)
class Version2:
    """One hierarchy, in which a group either has processes or hands controllers down to groups below it, never both."""

    tree: Path = FILE_SYSTEM

    def create(self, group: str) -> Path:
        """Make the group and, beside the `kubepods` that the kubelet will add, a leaf for the daemons."""
        top = self.tree / (PREFIX + group)
        daemons = top / "daemons"
        daemons.mkdir(parents=True, exist_ok=True)
        for parent in (self.tree, top):
            _hand_down(parent)
        return daemons / "cgroup.procs"

    def tops(self) -> Iterable[Path]:
        return self.tree.glob(f"{PREFIX}*")  # no deeper: a slice may hold a service of such a name


Layout = Version1 | Version2


def layout_of(mounts: str) -> Layout:
    """What `/proc/self/mounts` amounts to. /sys/fs/cgroup itself decides, as it does for kubelet, containerd and runc."""
    fields = [line.split() for line in mounts.splitlines()]
    kinds = {Path(point): kind for _, point, kind, *_ in fields}  # of two mounts on one point the later hides the other
    if kinds.get(FILE_SYSTEM) == "cgroup2":
        return Version2()
    version1 = Version1(
        tuple(point for point, kind in kinds.items() if kind == "cgroup" and point.parent == FILE_SYSTEM)
    )
    if not any(hierarchy.name == "pids" for hierarchy in version1.hierarchies):
        raise ClusterError(
            f"{FILE_SYSTEM} is neither cgroup version 2 nor has it a version 1 hierarchy `pids`, of which the nodes are "
            f"made: mount -t cgroup2 cgroup2 {FILE_SYSTEM}"
        )
    return version1


def mounted() -> Layout:
    return layout_of(Path("/proc/self/mounts").read_text())


def _hand_down(group: Path) -> None:
    """Let the groups below this one have the controllers; what is handed down already stays so."""
    available = (group / "cgroup.controllers").read_text().split()
    wanted = " ".join(f"+{controller}" for controller in CONTROLLERS if controller in available)
    try:
        (group / "cgroup.subtree_control").write_text(wanted)
    except OSError as error:
        raise ClusterError(
            f"{group}/cgroup.subtree_control does not take `{wanted}` ({error.strerror}): it must hold no processes "
            "unless it is the machine's own root; in a container, move them into a group below it first"
        ) from error


def create(group: str) -> Path:
    """Make the group, unless it is there, and return the file that takes in a process."""
    return mounted().create(group)


def existing() -> list[str]:
    """The groups of a cluster on this machine, whoever started it."""
    return sorted(folder.name.removeprefix(PREFIX) for folder in mounted().tree.glob(PREFIX + "*"))


def running_nodes() -> list[str]:
    return [group for group in existing() if group != CONTROL_PLANE]


def processes(group: str) -> list[int]:
    return list(_below(mounted().tree / (PREFIX + group)))


def processes_of_pod(uid: str) -> list[int]:
    """The process ids, as the machine sees them, of all containers of a pod: for tests that kill one."""
    return [pid for folder in mounted().tree.glob(f"{PREFIX}*/kubepods/**/pod{uid}") for pid in _below(folder)]


def command_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_text().removesuffix("\0").split("\0")


def _below(top: Path) -> Iterator[int]:
    for folder, _, _ in os.walk(top):
        try:
            members = Path(folder, "cgroup.procs").read_text()
        except OSError as error:
            if error.errno not in VANISHED:
                raise
        else:
            yield from map(int, members.split())


def kill(pids: Iterable[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):  # its parent took it along
            os.kill(pid, signal.SIGKILL)


def end(group: str) -> None:
    """SIGKILL until none is left; nothing but what `up` started, and its descendants, can be in the group."""

    def none_left() -> bool:
        kill(pids := processes(group))
        return not pids

    wait_for(f"the end of the processes in cgroup {PREFIX}{group}", none_left)


def remove_all() -> None:
    for top in mounted().tops():
        wait_for(f"the removal of {top}", partial(_is_removed, top))


def _is_removed(top: Path) -> bool:
    """One attempt: the kernel refuses (EBUSY) for a moment after the last process has ended."""
    try:
        for folder, _, _ in os.walk(top, topdown=False):
            os.rmdir(folder)
    except OSError:
        return False
    return True
