"""Processes that can call the same functions, and the batches that wait for one of them.

A thread for each process hands it one job after the other, of each batch in turn, and when the process had to be killed,
starts it anew.
"""

import logging
import queue
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future, wait
from typing import Final

from grpo_contract.failure import PodReason, RunFailure
from grpo_contract.metrics import RewardError
from grpo_trainer.causes import description, first_line
from grpo_trainer.rewards.processes.batch import Batch, Job
from grpo_trainer.rewards.processes.messages import Load, Mishap, Signature
from grpo_trainer.rewards.processes.process import RewardProcess, not_loaded, out_of_time

LATER_S: Final = 30.0
"""A process that is to load has its own deadline, and so has the end of one that did not."""

log = logging.getLogger(__name__)


class Crew:
    def __init__(self, load: Load, size: int, timeout_s: float, environment: Mapping[str, str]) -> None:
        self._load = load
        self._signatures: Future[Mapping[str, Signature]] = Future()
        self._lock = threading.Lock()
        self._batches: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        """Each as often as a process may find a job in it."""
        self._is_closed = False
        self._processes = [RewardProcess(load, timeout_s, environment) for _ in range(size)]
        for process in self._processes:
            threading.Thread(target=self._work, args=(process,), daemon=True, name="reward process").start()

    def signatures(self) -> Mapping[str, Signature]:
        """By name of the function. Waits until a first process has loaded the functions.

        Raises:
            UserError: one cannot be loaded, and another attempt would not do better.
            RunFailure: it may.
        """
        within_s = self._load.loading_s + LATER_S
        wait([self._signatures], within_s)
        if not self._signatures.done():
            how = f"has given no answer for {within_s:g} s"
            raise not_loaded(self._load, how, PodReason.LOADING_TIMEOUT)
        return self._signatures.result()

    def submit(self, batch: Batch) -> None:
        """Whenever something of it is ready."""
        for _ in self._processes:
            self._batches.put(batch)

    def close(self) -> None:
        self._is_closed = True
        for process in self._processes:
            self._batches.put(None)
            process.close()

    def _work(self, process: RewardProcess) -> None:
        self._start(process)
        while (batch := self._batches.get()) is not None and not self._is_closed:
            if (job := batch.next_job()) is None:
                continue
            self._do(job, process)
            if batch.has_ready:
                self._batches.put(batch)
            if not process.is_ready and not self._is_closed:
                self._start(process)  # now: it takes a while, and the next job may be far

    def _start(self, process: RewardProcess) -> str:
        """Why it did not start; empty when it did."""
        try:
            signatures = process.start()
        except RunFailure as error:
            return self._not_started(error)
        except Exception as error:  # outermost in this thread: training would wait for it without knowing
            log.exception("a reward process cannot be started")
            return self._not_started(not_loaded(self._load, f"cannot be started: {description(error)}"))
        with self._lock:
            if not self._signatures.done():
                self._signatures.set_result(signatures)
        return ""

    def _not_started(self, error: RunFailure) -> str:
        with self._lock:
            if not self._signatures.done():
                self._signatures.set_exception(error)
        return str(error)

    def _do(self, job: Job, process: RewardProcess) -> None:
        if time.monotonic() >= job.batch.ends_at:
            return job.give_up(out_of_time())
        if not process.is_ready and (why := self._start(process)):
            return job.give_up(Mishap(RewardError.WORKER_LOST, why))
        try:
            message = job.message(process.num_logs_known)
        except Exception as error:  # of whatever the columns hold
            why = f"the data set's columns cannot be sent to its process: {first_line(error)}"
            return job.give_up(Mishap(RewardError.EXCEPTION, why))
        process.num_logs_known = max(process.num_logs_known, job.batch.num_logs)
        num_settled = 0
        for places, outcome in zip(job.calls, process.outcomes(message, job.sizes, job.batch), strict=False):
            job.batch.settle(places, outcome)
            num_settled += 1
        job.batch.put_back(job.calls[num_settled:])
        return None
