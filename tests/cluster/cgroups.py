"""The cgroup trees that say which processes belong to the cluster: one tree per node and one for the control plane.

Ending the cluster is ending what is in these trees; nothing is ever found by its name or its command line.
"""

import contextlib
import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from cluster.layout import CONTROL_PLANE, PREFIX
from cluster.waiting import ClusterError, wait_for

FILE_SYSTEM = Path("/sys/fs/cgroup")


def create(group: str) -> Path:
    """Make the group in every hierarchy (the kubelet insists) and return the file that takes in a process."""
    for hierarchy in hierarchies():
        folder = hierarchy / (PREFIX + group)
        folder.mkdir(exist_ok=True)
        if hierarchy.name == "cpuset":  # a new cpuset is empty, and nothing can run in it
            for file in ("cpuset.cpus", "cpuset.mems"):
                (folder / file).write_text((hierarchy / file).read_text())
    return pids_hierarchy() / (PREFIX + group) / "cgroup.procs"


def hierarchies() -> list[Path]:
    mounts = (line.split() for line in Path("/proc/self/mounts").read_text().splitlines())
    return [Path(fields[1]) for fields in mounts if fields[2] == "cgroup"]


def pids_hierarchy() -> Path:
    for hierarchy in hierarchies():
        if hierarchy.name == "pids":
            return hierarchy
    raise ClusterError(
        f"{FILE_SYSTEM} has no version 1 hierarchy `pids`, which the nodes are made of: "
        "boot with systemd.unified_cgroup_hierarchy=0"
    )


def existing() -> list[str]:
    """The groups of a cluster on this machine, whoever started it."""
    return sorted(folder.name.removeprefix(PREFIX) for folder in pids_hierarchy().glob(PREFIX + "*"))


def running_nodes() -> list[str]:
    return [group for group in existing() if group != CONTROL_PLANE]


def processes(group: str) -> list[int]:
    return list(_below(pids_hierarchy() / (PREFIX + group)))


def processes_of_pod(uid: str) -> list[int]:
    """The process ids, as the machine sees them, of all containers of a pod: for tests that kill one."""
    return [pid for folder in pids_hierarchy().glob(f"{PREFIX}*/kubepods/**/pod{uid}") for pid in _below(folder)]


def command_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_text().removesuffix("\0").split("\0")


def _below(top: Path) -> Iterator[int]:
    for folder, _, _ in os.walk(top):
        with contextlib.suppress(FileNotFoundError):  # a container that has just ended takes its folder along
            yield from map(int, Path(folder, "cgroup.procs").read_text().split())


def end(group: str) -> None:
    """SIGKILL until none is left; nothing but what `up` started, and its descendants, can be in the group."""

    def none_left() -> bool:
        for pid in (pids := processes(group)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not pids

    wait_for(f"the end of the processes in cgroup {PREFIX}{group}", none_left)


def remove_all() -> None:
    # Also below `unified`, where we make none but runc does.
    for top in FILE_SYSTEM.glob(f"*/{PREFIX}*"):
        wait_for(f"the removal of {top}", partial(_is_removed, top))


def _is_removed(top: Path) -> bool:
    """One attempt: the kernel refuses (EBUSY) for a moment after the last process has ended."""
    try:
        for folder, _, _ in os.walk(top, topdown=False):
            os.rmdir(folder)
    except OSError:
        return False
    return True
