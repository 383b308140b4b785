"""Of what a contained program has started, nothing is left: else a failed test's ranks would train on beside the next ones."""

import signal
import subprocess
import sys
from pathlib import Path

from harness.waiting import wait_for
from trainer import contained
from trainer.contained import CONTAINED
from trainer.learner_inputs import learner_config
from trainer.learner_pod import LearnerPod

# As a launcher starts its workers: each in a session of its own. Its arguments: a mark, which the worker has as well, and
# after how many seconds it ends.
STARTER = """
import subprocess, sys, time
worker = "import time; time.sleep(600)"
subprocess.Popen([sys.executable, "-c", worker, sys.argv[1]], start_new_session=True)
print("started", flush=True)
time.sleep(float(sys.argv[2]))
"""
FOREVER = "600"
START_S = 30


def running(mark: Path) -> list[str]:
    """Command lines with that path in them."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it has just ended
            continue
        if str(mark) in command:
            found.append(command)
    return found


def starter(mark: Path, seconds: str) -> list[str]:
    return [*CONTAINED, sys.executable, "-c", STARTER, str(mark), seconds]


def test_a_killed_learner_pod_leaves_no_worker(tmp_path: Path) -> None:
    config = learner_config(tmp_path / "model", tmp_path / "train.jsonl")
    pod = LearnerPod(tmp_path, config, program=["-c", STARTER], arguments=[FOREVER], alone=False)
    wait_for("the worker", lambda: "started" in pod.log.read_text(), START_S, interval_s=0.05)
    assert sum("time.sleep(600)" in command for command in running(tmp_path)) == 1 + 1 + 1  # unshare, starter, worker
    pod.kill()
    assert running(tmp_path) == []


def test_nor_does_one_that_ends_by_itself(tmp_path: Path) -> None:
    assert subprocess.run(starter(tmp_path, "0"), check=False).returncode == 0
    assert running(tmp_path) == []


def test_nor_one_whose_starter_is_killed(tmp_path: Path) -> None:
    """As pytest, when its layer has taken too long."""
    starting = "import subprocess, sys; subprocess.run(sys.argv[1:], start_new_session=True)"
    with subprocess.Popen(
        [sys.executable, "-c", starting, *starter(tmp_path, FOREVER)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        process.kill()
    wait_for("their end", lambda: not running(tmp_path), START_S, interval_s=0.05)


def test_the_program_itself_is_asked_to_end() -> None:
    program = (
        f"import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit({128 + signal.SIGTERM})); "
        "print('started', flush=True); signal.pause()"
    )
    with subprocess.Popen(
        [*CONTAINED, sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        contained.terminate(process)
        assert process.wait(START_S) == 128 + signal.SIGTERM
