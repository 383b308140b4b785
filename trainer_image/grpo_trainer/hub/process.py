"""The process that pushes, seen from the learner: it can be ended, whatever the hub does."""

import subprocess
import sys
import threading
from typing import Final

from pydantic import ValidationError

from grpo_trainer.hub.job import PushJob, PushResult

LONGEST_PUSH_S: Final = 3600.0
"""A hub that says nothing is given up long before; this is for one that is too slow to be of use."""
MODULE: Final = "grpo_trainer.hub.push"


class PushProcess:
    """Runs one job at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._is_stopped = False

    def __call__(self, job: PushJob) -> PushResult:
        process = self._start()
        if process is None:
            return PushResult(message="there was no time left")
        try:
            output, _ = process.communicate(job.model_dump_json(), LONGEST_PUSH_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return PushResult(message=f"it took more than {LONGEST_PUSH_S:.0f} s")
        return read_result(output, process.returncode)

    def stop(self) -> None:
        """End what is running, and start nothing more."""
        with self._lock:
            self._is_stopped = True
            if self._process is not None:
                self._process.kill()

    def _start(self) -> subprocess.Popen[str] | None:
        with self._lock:
            if self._is_stopped:
                return None
            self._process = subprocess.Popen(
                [sys.executable, "-m", MODULE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            return self._process


def read_result(output: str, exit_code: int) -> PushResult:
    last_line = output.strip().rpartition("\n")[2]
    try:
        return PushResult.model_validate_json(last_line)
    except ValidationError:
        return PushResult(message=f"the process that pushes ended with exit code {exit_code}")
