"""Commands that end at a deadline, with all that they have started."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path


def run_bounded(command: Sequence[str], cwd: Path, deadline_s: float, stdout: int | None = None) -> str:
    """Its output where `stdout` is a pipe; without one it goes where ours does.

    Raises:
        subprocess.CalledProcessError: it failed.
        TimeoutError: it did not end; names it.
    """
    with subprocess.Popen(command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=stdout, text=True) as process:
        try:
            output, _ = process.communicate(timeout=deadline_s)
        except subprocess.TimeoutExpired:
            _kill(process.pid)
            raise TimeoutError(f"{' '.join(command)}: not within {deadline_s:.0f} s") from None
        except BaseException:  # as subprocess.run does it
            process.kill()
            raise
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, list(command))
    return output or ""


def _kill(pid: int) -> None:
    """With what it has started, or a pip in a build would outlive the program that runs the build. Not by a process group
    of their own: Ctrl-C, and the deadline of a layer of tests, are for our group as a whole."""
    family = [pid, *_descendants(pid)]  # before any is killed: its children would have another parent
    for process in family:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def _descendants(pid: int) -> Iterator[int]:
    with contextlib.suppress(FileNotFoundError):  # it has ended
        for thread in list(Path(f"/proc/{pid}/task").iterdir()):
            for child in map(int, (thread / "children").read_text().split()):
                yield child
                yield from _descendants(child)
