"""A reward process as training sees it: start, ask, and kill when it does not answer.

What a function has started, a judge's server for instance, is in its process's group and ends with it, however that ends: the
module that is loaded next would find memory and port taken.
"""

import contextlib
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from multiprocessing.connection import Connection
from typing import Any, Final, Protocol

from grpo_contract.failure import PodReason, RunFailure, UserError
from grpo_contract.metrics import RewardError
from grpo_trainer.causes import first_line
from grpo_trainer.rewards.processes.messages import Load, Loaded, Mishap, NotLoaded, Outcome, Signature

END_S: Final = 5.0
"""For a killed process to be gone; one that waits for a dead network drive stays."""
LOOK_EVERY_S: Final = 0.02
WORKER: Final = "grpo_trainer.rewards.processes.worker"


class Timed(Protocol):
    ends_at: float
    """time.monotonic; may be set while calls are being made."""


class RewardProcess:
    """For one thread, but for `kill` and `close`."""

    def __init__(self, load: Load, timeout_s: float, environment: Mapping[str, str]) -> None:
        self._load = load
        self._timeout_s = timeout_s
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._starting_or_killing = threading.Lock()
        self._is_closed = False
        self._has_loaded = False
        self.num_logs_known = 0
        """Entries of the trainer's log that it was told."""

    @property
    def is_ready(self) -> bool:
        return self._has_loaded and not self._has_ended()

    def start(self) -> Mapping[str, Signature]:
        """By name of the function.

        Raises:
            UserError: a function cannot be loaded, and another attempt would not do better.
            RunFailure: it may.
        """
        self.kill()
        self._has_loaded, self.num_logs_known = False, 0
        try:
            self._connection = self._spawn()
            self._connection.send(self._load)
            answer = self._receive(self._load.loading_s)
        except (OSError, EOFError) as error:
            raise self._not_loaded(error) from error
        if isinstance(answer, NotLoaded):
            self._end()
            failure = answer.failure
            raise (UserError if answer.is_users_mistake else RunFailure)(failure.reason, failure.message)
        assert isinstance(answer, Loaded)
        self._has_loaded = True
        return answer.signatures

    def outcomes(self, call: bytes, sizes: list[int], batch: Timed) -> Iterator[Outcome]:
        """Of the calls in a pickled Call, in order. The one that costs the process its life is the last.

        Each call has its own deadline, and all of them have that of their batch.
        """
        for number, size in enumerate(sizes):
            try:
                if number == 0:
                    self._connection.send_bytes(call)
                outcome: Outcome = self._receive(max(0.0, min(self._timeout_s, batch.ends_at - time.monotonic())))
            except (TimeoutError, BlockingIOError):
                self.kill()
                yield Outcome.without_scores(size, self._timed_out(batch.ends_at))
                return
            except (OSError, EOFError):
                mishap = Mishap(RewardError.WORKER_LOST, f"its process {self._end()}")
                yield Outcome.without_scores(size, mishap)
                return
            except Exception as error:  # of what was logged, whose class may not be here
                mishap = Mishap(
                    RewardError.EXCEPTION, f"what it logged cannot be read in training: {first_line(error)}"
                )
                outcome = Outcome.without_scores(size, mishap)
            yield outcome

    def kill(self) -> None:
        """With its group, also where it has ended by itself.

        Only here its exit code is taken, and by one thread: until then nobody else's group can have its number.
        """
        with self._starting_or_killing:
            process = self._process
            if process is None or process.returncode is not None:
                return
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(END_S)

    def close(self) -> None:
        """Kill it, and let it be started no more: its thread may be about to."""
        self._is_closed = True
        self.kill()

    def _spawn(self) -> Connection:
        ours, theirs = socket.socketpair()
        # A process that is stuck may leave a message unread, or half written. Of a message that is sent in part, the rest is
        # tried once more: so it is half the time for each.
        limit_s = self._timeout_s / 2
        limit = struct.pack("ll", int(limit_s), int(limit_s % 1 * 1e6))
        for option in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
            ours.setsockopt(socket.SOL_SOCKET, option, limit)
        self._process = None
        with theirs, self._starting_or_killing:
            if self._is_closed:
                raise ConnectionAbortedError("training has ended")
            self._process = subprocess.Popen(
                [sys.executable, "-m", WORKER, str(theirs.fileno()), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                env=self._environment,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        return Connection(ours.detach())

    def _receive(self, timeout_s: float) -> Any:
        """Raises TimeoutError or BlockingIOError when time is up, EOFError or another OSError when the process has ended."""
        if not self._connection.poll(timeout_s):
            raise TimeoutError
        return self._connection.recv()

    def _timed_out(self, ends_at: float) -> Mishap:
        if time.monotonic() >= ends_at:
            return out_of_time()
        return Mishap(RewardError.TIMEOUT, f"a call did not end within {self._timeout_s:g} s")

    def _not_loaded(self, error: Exception) -> RunFailure:
        reason = PodReason.LEARNER_ERROR
        if self._process is None:
            how = f"cannot be started: {error}"
        elif isinstance(error, TimeoutError | BlockingIOError):
            reason, how = PodReason.LOADING_TIMEOUT, f"did not load them within {self._load.loading_s:.0f} s"
        else:
            how = f"{self._end()} while it loaded them"
        self.kill()
        return not_loaded(self._load, how, reason)

    def _end(self) -> str:
        """How it ended; it has closed its socket."""
        assert self._process is not None
        give_up = time.monotonic() + END_S
        while not (has_ended := self._has_ended()) and time.monotonic() < give_up:
            time.sleep(LOOK_EVERY_S)
        self.kill()
        code = self._process.returncode
        if not has_ended or code is None:
            return "closed its connection"
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"

    def _has_ended(self) -> bool:
        """Its exit code is left for `kill` to take."""
        if self._process is None or self._process.returncode is not None:
            return True
        try:
            return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:  # another thread has taken it just now
            return True


def not_loaded(load: Load, how: str, reason: PodReason = PodReason.LEARNER_ERROR) -> RunFailure:
    return RunFailure(reason, f"the process of the reward functions {', '.join(load.names)} {how}.")


def out_of_time() -> Mishap:
    return Mishap(RewardError.TIMEOUT, "scoring all completions of the step took too long")
