"""A command whose server says nothing ends at its deadline, and says so."""

import os
import re
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cluster.processes import output_or_nothing, run
from cluster.waiting import ClusterError
from harness.installation import tool, tool_output
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


# Starts a program that holds the pipe open, and waits for it.
TOOL = """
import subprocess, sys
subprocess.run(["sh", "-c", 'exec 3>"$1"; sleep 60', "sh", sys.argv[1]])
"""


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that tools are in."""
    monkeypatch.setattr("harness.installation.TESTS", tmp_path)
    return tmp_path


@pytest.fixture
def held(tools: Path) -> Iterator[int]:
    """The end to read of a pipe in that folder, which nobody holds any more."""
    os.mkfifo(tools / "pipe")
    descriptor = os.open(tools / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    (tools / "pipe").open("wb").close()
    yield descriptor
    os.close(descriptor)


@pytest.mark.parametrize("run_tool", [tool, tool_output])
def test_a_tool_ends_with_all_that_it_started(tools: Path, held: int, run_tool: Callable[..., object]) -> None:
    (tools / "hanging.py").write_text(TOOL)
    sentence = f"{re.escape(sys.executable)} -m hanging pipe: not within 2 s$"
    with pytest.raises(TimeoutError, match=sentence):
        run_tool("hanging", "pipe", deadline_s=2)
    closed = select.poll()
    closed.register(held)
    assert closed.poll(SOON_S * 1000) == [(held, select.POLLHUP)]


def test_a_tool_that_fails_is_not_taken_for_one_that_is_slow(tools: Path) -> None:
    (tools / "failing.py").write_text("raise SystemExit(3)")
    for run_tool in (tool, tool_output):
        with pytest.raises(subprocess.CalledProcessError, match="exit status 3"):
            run_tool("failing")


def test_a_build_gives_way_to_what_measures_time(tools: Path) -> None:
    (tools / "priority.py").write_text("import os; print('first'); print(os.nice(0))")
    ours = os.nice(0)
    assert tool_output("priority") == str(ours)
    assert tool_output("priority", niceness=19) == "19"
