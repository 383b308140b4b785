"""A command whose server says nothing ends at its deadline, and says so."""

import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.processes import output_or_nothing, run
from cluster.waiting import ClusterError
from harness.kubectl import TIMED_OUT, CommandFailedError, Kubectl

DEADLINE_S = 1.0
SOON_S = 20.0

# Asks the server and waits for its answer, for a minute at most.
KUBECTL = """#!{python}
import socket
with socket.create_connection(("127.0.0.1", {port}), timeout=60) as server:
    server.recv(1)
"""


@pytest.fixture
def silent_server() -> Iterator[int]:
    """Its port; it takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def kubectl(tmp_path: Path, silent_server: int) -> Kubectl:
    (tmp_path / "kubectl").write_text(KUBECTL.format(python=sys.executable, port=silent_server))
    (tmp_path / "kubectl").chmod(0o755)
    return Kubectl(programs=tmp_path)


@pytest.fixture(autouse=True)
def ends_soon() -> Iterator[None]:
    start = time.monotonic()
    yield
    assert time.monotonic() - start < SOON_S


def test_kubectl(kubectl: Kubectl) -> None:
    done = kubectl.attempt("get", "pod", deadline_s=DEADLINE_S)
    assert (done.returncode, done.stdout, done.stderr) == (TIMED_OUT, "", "not within 1.0 s")
    with pytest.raises(CommandFailedError, match=r"kubectl get pod\nnot within 1\.0 s$"):
        kubectl("get", "pod", deadline_s=DEADLINE_S)


def test_a_question_has_a_deadline_of_its_own(kubectl: Kubectl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.kubectl.REQUEST_S", DEADLINE_S)
    with pytest.raises(CommandFailedError, match=r"not within 1\.0 s$"):
        kubectl.find("pod", "web")


def test_commands_of_the_cluster(kubectl: Kubectl) -> None:
    assert kubectl.programs is not None
    with pytest.raises(ClusterError, match=r"kubectl get: not within 1 s$"):
        run(kubectl.programs / "kubectl", "get", deadline_s=DEADLINE_S)
    assert output_or_nothing(kubectl.programs / "kubectl", "get", deadline_s=DEADLINE_S) == ""
