"""Programs with a PID namespace of their own, as in a pod: whatever they start, in sessions of its own as a launcher's workers,
ends with the first process. That one ends with pytest at the latest.
"""

import os
import signal
import subprocess
from pathlib import Path
from typing import Any, Final

from harness.waiting import wait_for

CONTAINED: Final = (
    *("setpriv", "--pdeathsig", "KILL"),
    *("unshare", "--pid", "--fork", "--kill-child", "--mount-proc"),
)
"""Before a command. What was started is then `unshare`, which ignores SIGTERM and ends as the command's process does."""
STARTED_S: Final = 10
ENDED_S: Final = 30


def terminate(process: subprocess.Popen[Any]) -> None:
    """Ask the program to end, as the kubelet does."""
    os.kill(wait_for("the namespace's first process", lambda: _first_process(process), STARTED_S), signal.SIGTERM)


def stop(process: subprocess.Popen[Any]) -> None:
    """The program itself goes no further, and does not end."""
    os.kill(wait_for("the namespace's first process", lambda: _first_process(process), STARTED_S), signal.SIGSTOP)


def kill(process: subprocess.Popen[Any]) -> None:
    """The program and all that it has started; returns when they are gone: the first process is the last one to be."""
    if process.poll() is None:
        first = _first_process(process)
        os.kill(process.pid if first is None else first, signal.SIGKILL)
    process.wait(ENDED_S)


def _first_process(process: subprocess.Popen[Any]) -> int | None:
    """As this side of the namespace numbers it."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return int(children[0]) if children else None
