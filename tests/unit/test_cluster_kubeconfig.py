"""`cluster kubeconfig` prints a path only while there is a cluster at it."""

import sys
from pathlib import Path

import pytest

from cluster import __main__ as command_line
from cluster import cgroups


@pytest.fixture
def kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the cluster's would be, and the command to print it."""
    file = tmp_path / "admin.kubeconfig"
    monkeypatch.setattr(command_line, "KUBECONFIG", file)
    monkeypatch.setattr(sys, "argv", ["cluster", "kubeconfig"])
    return file


@pytest.mark.parametrize(
    ("is_written", "groups"),
    [(False, []), (False, ["control-plane"]), (True, [])],
    ids=["never started", "one is starting", "the machine was restarted"],
)
def test_without_a_cluster_there_is_no_path(
    kubeconfig: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    is_written: bool,
    groups: list[str],
) -> None:
    if is_written:
        kubeconfig.touch()
    monkeypatch.setattr(cgroups, "existing", lambda: groups)
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    assert ended.value.code == "no local cluster runs: `make cluster-up` starts one"
    assert capsys.readouterr().out == ""


def test_a_clusters_path_is_printed(
    kubeconfig: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kubeconfig.touch()
    monkeypatch.setattr(cgroups, "existing", lambda: ["control-plane", "node1"])
    command_line.main()
    assert capsys.readouterr().out == f"{kubeconfig}\n"
