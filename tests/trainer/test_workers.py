"""The processes of a learner pod: their places, their exit codes, their end."""

import signal
import time
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from grpo_contract.config import LearnerConfig
from grpo_contract.failure import RunFailure
from grpo_trainer import launch
from grpo_trainer import workers as workers_module
from grpo_trainer.end_of_pod import EndOfPod
from grpo_trainer.end_request import EndRequest
from grpo_trainer.workers import Workers, places_of, started
from harness.waiting import wait_for

START_S = 30
BEGINNING = "import os, signal, subprocess, sys, time\nrank = int(os.environ['RANK'])\n"


def two(program: str) -> AbstractContextManager[Workers]:
    learners = LearnerConfig(pods=1, processes_per_pod=2, device="cpu", rendezvous_host="localhost")
    return started(["-c", BEGINNING + program], places_of(learners, pod=0))


def wait_until_over(workers: Workers) -> None:
    wait_for("the end of the workers", workers.are_over, START_S, interval_s=0.05)


def test_places_among_all_ranks() -> None:
    learners = LearnerConfig(pods=3, processes_per_pod=2, device="cuda", rendezvous_host="learner-0")
    assert places_of(learners, pod=1) == [
        {
            "RANK": rank,
            "LOCAL_RANK": local_rank,
            "GROUP_RANK": "1",
            "WORLD_SIZE": "6",
            "LOCAL_WORLD_SIZE": "2",
            "MASTER_ADDR": "learner-0",
            "MASTER_PORT": "29500",
        }
        for rank, local_rank in (("2", "0"), ("3", "1"))
    ]


def test_the_work_is_over_when_all_have_done_theirs(tmp_path: Path) -> None:
    done, go = tmp_path / "done", tmp_path / "go"
    program = (
        f"if rank == 0: open({str(done)!r}, 'w')\nwhile rank and not os.path.exists({str(go)!r}): time.sleep(0.05)"
    )
    with two(program) as workers:
        wait_for("rank 0", done.exists, START_S)
        assert not workers.are_over()
        go.touch()
        wait_until_over(workers)
        assert workers.failed() == {}
    assert workers.failed() == {}


def test_one_that_fails_ends_the_others() -> None:
    with two("if rank: sys.exit(78)\ntime.sleep(600)") as workers:
        wait_until_over(workers)
        assert workers.failed() == {1: 78}
    assert workers.failed() == {0: -signal.SIGTERM, 1: 78}


def test_the_cause_may_end_a_moment_after_who_missed_it(tmp_path: Path) -> None:
    program = "if rank: sys.exit(1)\ntime.sleep(0.2)\nos.kill(os.getpid(), signal.SIGKILL)"
    with two(program) as workers, pytest.raises(RunFailure, match="learner process 0 was ended by SIGKILL"):
        launch.wait_for(workers, EndOfPod(EndRequest(tmp_path)))


def test_one_that_takes_no_notice_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers_module, "TERMINATED_WITHIN_S", 0.5)
    deaf = tmp_path / "deaf"
    with two(
        f"if rank:\n    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n    open({str(deaf)!r}, 'w')\ntime.sleep(600)"
    ) as workers:
        wait_for("rank 1", deaf.exists, START_S)
        begun = time.monotonic()
    assert time.monotonic() - begun >= 0.5
    assert workers.failed() == {0: -signal.SIGTERM, 1: -signal.SIGKILL}


def test_what_a_worker_has_started_ends_with_it(tmp_path: Path) -> None:
    said = tmp_path / "said"
    program = (
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"if rank: open({str(said)!r}, 'w').write(str(child.pid))\n"
        "child.wait()"
    )
    with two(program):
        wait_for("the process of rank 1", lambda: said.exists() and said.read_text(), START_S)
        child = Path("/proc") / said.read_text() / "cmdline"
        assert command_in(child)
    wait_for("its end", lambda: not command_in(child), START_S)


def command_in(file: Path) -> bytes:
    """Nothing, of one that has ended."""
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return b""
