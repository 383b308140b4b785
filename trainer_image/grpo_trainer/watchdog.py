"""Ends a learner process whose main thread gets no further, with a named reason and the stacks of all threads in the log.

It gets on as long as it comes to something else to do (`instruments/main_thread.py`), begins another collective operation, or
what it waits for gives a sign. So how long a step takes does not matter: under ZeRO-3 each layer has collective operations,
forward and backward.

Libraries have time-outs of their own, which know no reason: gloo raises an error, NCCL aborts the process. They come later
(`Deadlines.library_s`), for the case that this thread cannot do anything. So does `faulthandler`, which needs no Python: where
C code keeps the interpreter's lock, no thread of Python's runs.
"""

import faulthandler
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Final

from grpo_contract.config import LIBRARIES_LATER_S, Deadlines
from grpo_contract.failure import Failure, PodReason
from grpo_contract.pod import report_failure
from grpo_trainer.failing import fail
from grpo_trainer.instruments.main_thread import MAIN_THREAD, Step

LOOK_EVERY_S: Final = 1.0
STDERR: Final = 2
"""Whatever `sys.stderr` is: the file of the process."""
LAST_WORDS_S: Final = 10.0
"""For the log. What keeps the main thread may be whoever reads it."""

_OTHERS: Final = "look whether another learner process or its node has stopped, and at its volume"
_REASONS: Final[dict[Step, tuple[PodReason, str, str]]] = {
    Step.RENDEZVOUS: (PodReason.RENDEZVOUS_TIMEOUT, _OTHERS, "rendezvousSeconds"),
    Step.LOAD: (PodReason.LOADING_TIMEOUT, "look at the hub and the volume", "loadingSeconds"),
    Step.LEARN: (PodReason.COLLECTIVE_TIMEOUT, _OTHERS, "collectiveSeconds"),
    Step.GENERATE: (PodReason.GENERATE_TIMEOUT, "look at the generators' logs", "generateSeconds"),
    Step.WEIGHT_SYNC: (PodReason.WEIGHT_SYNC_TIMEOUT, "look at the generators' logs", "weightSyncSeconds"),
    Step.END: (PodReason.COLLECTIVE_TIMEOUT, _OTHERS, "collectiveSeconds"),
    Step.CHECKPOINT: (PodReason.CHECKPOINT_TIMEOUT, "look at the run's volume", "checkpointSeconds"),
}
"""Reason, where to look, and the field of spec.deadlines."""

log = logging.getLogger(__name__)


class Watchdog:
    """From here on to `close`, or the end of the process."""

    def __init__(self, deadlines: Deadlines, sign: Callable[[], int] = lambda: 0) -> None:
        """`sign` changes when the main thread gets on, whatever it is doing."""
        self._deadlines = deadlines
        self._sign = sign
        self._closed = threading.Event()
        threading.Thread(target=self._run, daemon=True, name="watchdog").start()

    def close(self) -> None:
        self._closed.set()

    def _run(self) -> None:
        try:
            self._watch()
        except Exception:  # outermost in this thread
            log.exception("nobody watches any more whether the main thread gets on")
        finally:
            faulthandler.cancel_dump_traceback_later()  # nobody puts it off any more

    def _watch(self) -> None:
        doing, signs, since_s = MAIN_THREAD.doing, -1, 0.0
        while not self._closed.is_set():
            seen = MAIN_THREAD.doing
            seen_signs = seen.sign() + self._sign()
            if seen is not doing or seen_signs != signs:
                doing, signs, since_s = seen, seen_signs, time.monotonic()
            limit_s = limit_of(doing.step, self._deadlines)
            faulthandler.dump_traceback_later(limit_s + LIBRARIES_LATER_S, exit=True, file=STDERR)
            if time.monotonic() - since_s > limit_s:
                end(doing.step, limit_s)
            self._closed.wait(LOOK_EVERY_S)


def end(step: Step, limit_s: float) -> None:
    failure = failure_of(step, limit_s)
    report_failure(failure)  # first: the log may have nobody who takes it
    last_words = threading.Timer(LAST_WORDS_S, os._exit, [1])
    last_words.daemon = True
    last_words.start()
    faulthandler.dump_traceback(STDERR, all_threads=True)  # takes no lock, not even that of the log
    log.error("no progress for %.0f s while %s; above are the stacks of all threads", limit_s, step)
    fail(failure, 1)


def limit_of(step: Step, deadlines: Deadlines) -> float:
    """Seconds without progress."""
    return {
        Step.RENDEZVOUS: deadlines.rendezvous_s,
        Step.LOAD: deadlines.loading_s,
        Step.LEARN: deadlines.collective_s,
        Step.GENERATE: deadlines.fleet_s,
        Step.WEIGHT_SYNC: deadlines.sync_s,
        Step.CHECKPOINT: deadlines.checkpoint_s,
        Step.END: deadlines.end_s,
    }[step]


def failure_of(step: Step, limit_s: float) -> Failure:
    reason, remedy, field = _REASONS[step]
    who = f"learner process {os.environ['RANK']}" if "RANK" in os.environ else "a learner's launcher"
    return Failure(
        reason=reason,
        message=f"{who} got no further for {limit_s:.0f} s while {step}: its main thread is in "
        f"{place_of_main_thread()}; {remedy}, see the stacks of all threads in the logs of learners, or raise "
        f"spec.deadlines.{field} where it rightly takes so long.",
    )


def place_of_main_thread() -> str:
    """The function that it is in, and the innermost of ours that this was called from."""
    identity = threading.main_thread().ident
    frames = traceback.extract_stack(sys._current_frames()[identity]) if identity is not None else []
    last, package = frames[-1], str(Path(__file__).parent)
    ours = next((frame for frame in reversed(frames) if frame.filename.startswith(package)), last)
    return _named(last) if ours is last else f"{_named(last)}, called from {_named(ours)}"


def _named(frame: traceback.FrameSummary) -> str:
    return f"{frame.name} ({Path(frame.filename).name}, line {frame.lineno})"
