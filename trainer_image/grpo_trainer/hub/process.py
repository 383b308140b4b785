"""The process that pushes, seen from the learner: it can be ended, whatever the hub does."""

import subprocess
import sys
import threading
from typing import Final

from pydantic import ValidationError

from grpo_trainer.hub.job import NO_TIME_LEFT, PushJob, PushResult

LONGEST_PUSH_S: Final = 3600.0
"""Of a push that is small. A hub that says nothing is given up long before; this is for one that is too slow to be of use."""
SLOWEST_BYTES_PER_S: Final = 10_000_000
MODULE: Final = "grpo_trainer.hub.push"


class PushProcess:
    """Runs one job at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._ended: subprocess.Popen[str] | None = None
        self._is_stopped = False

    def __call__(self, job: PushJob) -> PushResult:
        limit_s = longest_push_s(job)
        process = self._start()
        if process is None:
            return NO_TIME_LEFT
        try:
            output, _ = process.communicate(job.model_dump_json(), limit_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return PushResult(message=f"it took more than {limit_s:.0f} s")
        result = read_result(output, process.returncode)
        return NO_TIME_LEFT if result.url is None and process is self._ended else result

    def end_current(self) -> None:
        with self._lock:
            self._end()

    def stop(self) -> None:
        with self._lock:
            self._is_stopped = True
            self._end()

    def _end(self) -> None:
        if self._process is not None:
            self._ended = self._process
            self._process.kill()

    def _start(self) -> subprocess.Popen[str] | None:
        with self._lock:
            if self._is_stopped:
                return None
            self._process = subprocess.Popen(
                [sys.executable, "-m", MODULE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            return self._process


def longest_push_s(job: PushJob) -> float:
    return LONGEST_PUSH_S + sum(file.stat().st_size for file in job.files.values()) / SLOWEST_BYTES_PER_S


def read_result(output: str, exit_code: int) -> PushResult:
    last_line = output.strip().rpartition("\n")[2]
    try:
        return PushResult.model_validate_json(last_line)
    except ValidationError:
        return PushResult(message=f"the process that pushes ended with exit code {exit_code}")
