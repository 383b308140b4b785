"""Which cgroup layout the local cluster takes what is mounted for, and which groups it owns in the version 2 one."""

from pathlib import Path

import pytest

from cluster.cgroups import FILE_SYSTEM, Layout, Version1, Version2, layout_of
from cluster.waiting import ClusterError

ROOT = "/dev/vda / ext4 rw,relatime 0 0"
UNIFIED = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid,nodev,noexec,relatime,nsdelegate,memory_recursiveprot 0 0"
FOLDER = "tmpfs /sys/fs/cgroup tmpfs ro,nosuid,nodev,noexec,size=4096k,nr_inodes=1024,mode=755 0 0"
MEMORY = "cgroup /sys/fs/cgroup/memory cgroup rw,nosuid,nodev,noexec,relatime,memory 0 0"
PIDS = "cgroup /sys/fs/cgroup/pids cgroup rw,nosuid,nodev,noexec,relatime,pids 0 0"
BESIDE = "cgroup2 /sys/fs/cgroup/unified cgroup2 rw,nosuid,nodev,noexec,relatime,nsdelegate 0 0"
ELSEWHERE = "net_cls /opt/vpn/net_cls cgroup rw,relatime,net_cls 0 0"
VERSION_1 = Version1((FILE_SYSTEM / "memory", FILE_SYSTEM / "pids"))


@pytest.mark.parametrize(
    ("mounts", "expected"),
    [
        ([ROOT, FOLDER, MEMORY, PIDS], VERSION_1),
        ([ROOT, FOLDER, BESIDE, MEMORY, PIDS], VERSION_1),
        ([ROOT, FOLDER, MEMORY, PIDS, ELSEWHERE], VERSION_1),
        ([ROOT, UNIFIED], Version2()),
        ([ROOT, UNIFIED, ELSEWHERE], Version2()),
        ([ROOT, FOLDER, UNIFIED], Version2()),
        ([ROOT, UNIFIED, FOLDER, MEMORY, PIDS], VERSION_1),
    ],
    ids=[
        "version 1",
        "hybrid",
        "version 1 and a stray hierarchy",
        "version 2",
        "version 2 and a stray hierarchy",
        "2 mounted over 1",
        "1 mounted over 2",
    ],
)
def test_what_is_mounted_decides_the_layout(mounts: list[str], expected: Layout) -> None:
    assert layout_of("\n".join(mounts) + "\n") == expected


@pytest.mark.parametrize("mounts", [[ROOT], [ROOT, FOLDER, MEMORY], [ROOT, FOLDER, BESIDE]])
def test_a_machine_without_a_tree_of_processes_is_refused(mounts: list[str]) -> None:
    with pytest.raises(ClusterError, match="neither cgroup version 2 nor has it a version 1 hierarchy `pids`"):
        layout_of("\n".join(mounts))


def test_version_1_finds_processes_in_the_pids_hierarchy() -> None:
    assert VERSION_1.tree == FILE_SYSTEM / "pids"


def fake_tree(folder: Path, controllers: str) -> Version2:
    """The files of the kernel that `create` meets: plain ones, which keep what is written to them."""
    for group in (folder, folder / "grpo-node1"):
        group.mkdir(exist_ok=True)
        (group / "cgroup.controllers").write_text(controllers)
    return Version2(folder)


def test_version_2_gives_the_daemons_a_leaf_below_groups_that_hand_controllers_down(tmp_path: Path) -> None:
    layout = fake_tree(tmp_path, "cpuset cpu io memory hugetlb pids rdma misc\n")
    assert layout.create("node1") == tmp_path / "grpo-node1/daemons/cgroup.procs"
    for group in (tmp_path, tmp_path / "grpo-node1"):
        handed_down = (group / "cgroup.subtree_control").read_text()
        assert handed_down == "+cpuset +cpu +io +memory +hugetlb +pids"
    assert not (tmp_path / "grpo-node1/daemons/cgroup.subtree_control").exists()


def test_version_2_asks_for_no_controller_that_the_kernel_lacks(tmp_path: Path) -> None:
    fake_tree(tmp_path, "cpu memory pids\n").create("node1")
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+cpu +memory +pids"


def test_version_2_says_why_a_group_cannot_hand_controllers_down(tmp_path: Path) -> None:
    layout = fake_tree(tmp_path, "pids\n")
    (tmp_path / "cgroup.subtree_control").mkdir()  # refuses what is written to it
    with pytest.raises(ClusterError, match="it must hold no processes"):
        layout.create("node1")


def test_version_2_owns_no_group_below_those_of_others(tmp_path: Path) -> None:
    for group in (
        "grpo-control-plane/daemons",
        "grpo-node1/kubepods",
        "system.slice/grpo-metrics.service",
        "init.scope",
    ):
        (tmp_path / group).mkdir(parents=True)
    assert sorted(Version2(tmp_path).tops()) == [tmp_path / "grpo-control-plane", tmp_path / "grpo-node1"]
