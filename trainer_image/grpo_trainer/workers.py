"""The processes of a learner pod, one for each of its ranks: started with what torchrun would tell each, and ended together.

torchrun itself would cost the launcher the import of torch before any rank begins its own.
"""

import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from grpo_contract.config import LearnerConfig
from grpo_contract.network import RENDEZVOUS_PORT

TERMINATED_WITHIN_S: Final = 10.0
"""Between SIGTERM and SIGKILL."""
KILLED_WITHIN_S: Final = 10.0
"""One that a driver or a disk holds in the kernel is not waited for any longer."""

log = logging.getLogger(__name__)


class Workers:
    def __init__(self, processes: Mapping[int, subprocess.Popen[bytes]]) -> None:
        """By rank."""
        self._processes = processes

    def are_over(self) -> bool:
        """All are done, or one has failed."""
        return not self._left() or bool(self.failed())

    def failed(self) -> dict[int, int]:
        """Exit codes, by rank; minus a signal's number."""
        codes = {rank: process.poll() for rank, process in self._processes.items()}
        return {rank: code for rank, code in codes.items() if code}

    def wait(self, within_s: float) -> None:
        """Until all have ended, for so many seconds at most."""
        deadline_s = time.monotonic() + within_s
        for rank in self._left():
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._processes[rank].wait(max(0.0, deadline_s - time.monotonic()))

    def end(self) -> None:
        self._signal(signal.SIGTERM)
        self.wait(TERMINATED_WITHIN_S)
        self._signal(signal.SIGKILL)
        self.wait(KILLED_WITHIN_S)

    def _signal(self, number: signal.Signals) -> None:
        """To those that are left, with what they have started in their sessions."""
        for rank in self._left():
            log.info("learner process %d is ended by %s", rank, number.name)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._processes[rank].pid, number)

    def _left(self) -> list[int]:
        return [rank for rank, process in self._processes.items() if process.poll() is None]


@contextmanager
def started(program: Sequence[str], places: Iterable[Mapping[str, str]]) -> Iterator[Workers]:
    """`program`: arguments of Python. No rank is left when the block ends; what they have started ends with the pod."""
    processes: dict[int, subprocess.Popen[bytes]] = {}
    workers = Workers(processes)
    try:
        for place in places:
            command = [sys.executable, *program]
            processes[int(place["RANK"])] = subprocess.Popen(command, env=os.environ | place, start_new_session=True)
        yield workers
    finally:
        workers.end()


def places_of(learners: LearnerConfig, pod: int) -> list[dict[str, str]]:
    """What torchrun, too, tells each rank of this pod of its place among all, in its environment. Pods are counted from 0."""
    size = learners.processes_per_pod
    return [
        {
            "RANK": str(pod * size + local_rank),
            "LOCAL_RANK": str(local_rank),
            "GROUP_RANK": str(pod),
            "WORLD_SIZE": str(learners.pods * size),
            "LOCAL_WORLD_SIZE": str(size),
            "MASTER_ADDR": learners.rendezvous_host if pod > 0 else "localhost",  # a pod need not know its own name
            "MASTER_PORT": str(RENDEZVOUS_PORT),
        }
        for local_rank in range(size)
    ]
