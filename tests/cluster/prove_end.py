"""Shows that a cluster ends after a crash, twice, and that nothing of it remains."""

from pathlib import Path

from cluster import cgroups, lifecycle
from cluster.layout import BRIDGE, PREFIX, RUN
from cluster.waiting import ClusterError

INTERFACES = Path("/sys/class/net")


def prove_end() -> None:
    if not cgroups.existing():
        raise ClusterError("no local cluster runs: `make cluster-up` starts one")
    crash()
    assert lifecycle.down(), "a cluster that had crashed was not there to end"
    assert remains() == []
    assert not lifecycle.down(), "a cluster that had ended was there to end"


def crash() -> None:
    """Every process goes at once, as when the kernel runs out of memory; what it held stays behind."""
    for group in cgroups.existing():
        cgroups.kill(cgroups.processes(group))


def remains() -> list[str]:
    """Of a cluster on this machine: processes are in its groups, its routes go with its interfaces."""
    groups = [f"cgroup {PREFIX}{group}" for group in cgroups.existing()]
    interfaces = [
        f"interface {link.name}" for link in INTERFACES.iterdir() if link.name == BRIDGE or link.name.startswith(PREFIX)
    ]
    mounts = [f"mount {point}" for point in lifecycle.mounts_left()]
    return [*groups, *interfaces, *mounts, *([str(RUN)] if RUN.exists() else [])]
