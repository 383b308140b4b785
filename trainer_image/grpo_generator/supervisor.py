"""Run vLLM, pass its log on, and say why it ended.

vLLM's processes die in many ways (an exception in a worker, the kernel's OOM killer), and its server then often ends
with 0, or never: it waits for open connections whose answers no engine will write. Seen from here each of them is an
end that nobody asked for, and it comes soon.
"""

import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Final

from grpo_contract import pod
from grpo_contract.failure import Failure, PodReason
from grpo_generator.last_error import LastError
from grpo_generator.leaving import LEAVE
from grpo_generator.log import tell
from grpo_generator.refusal import no_room_for_cache

GRACE_S: Final = 5.0
"""From vLLM's SIGTERM to SIGKILL: there is nothing to save. The last seconds of the pod's grace period; those before are for the
completions that it has begun."""
LOG_END_S: Final = 2.0
"""For the rest of the log: workers that outlive the server keep the pipe open."""


def supervise(command: Sequence[str], environment: Mapping[str, str], grace_period_s: float) -> int:
    """The exit code of this process, once the command has ended; the termination file is written."""
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    ending = _Ending(process)
    stopped = _stop_on_signals(process, ending, grace_period_s - GRACE_S)
    last_error = LastError()
    assert process.stdout is not None
    log = threading.Thread(target=_pass_log_on, args=(process.stdout, last_error, ending), daemon=True)
    log.start()
    code = process.wait()
    log.join(LOG_END_S)
    if stopped.is_set():
        return 0
    if mistake := no_room_for_cache(last_error.text):
        return pod.end_with_mistake(mistake)
    end = f"did not end within {GRACE_S:.0f} s" if ending.was_forced else _describe(code)
    message = f"vLLM {end}; its last error: {last_error.text or 'none was logged'}"
    pod.report_failure(Failure(reason=PodReason.GENERATOR_ERROR, message=message))
    return code if code > 0 else 1


class _Ending:
    """SIGTERM, and SIGKILL for a process that is still there after the grace period."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._begun = threading.Event()
        self.was_forced = False

    def begin(self) -> None:
        if self._begun.is_set():
            return
        self._begun.set()
        self._process.terminate()
        _later(GRACE_S, self._force)

    def _force(self) -> None:
        if self._process.returncode is None:
            self.was_forced = True
            self._process.kill()


def _stop_on_signals(process: subprocess.Popen[bytes], ending: _Ending, leaves_within_s: float) -> threading.Event:
    stopped = threading.Event()

    def stop(*_: object) -> None:
        if not stopped.is_set():
            stopped.set()
            process.send_signal(LEAVE)
            _later(leaves_within_s, ending.begin)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    return stopped


def _later(seconds: float, action: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, action)
    timer.daemon = True
    timer.start()


def _pass_log_on(log: IO[bytes], last_error: LastError, ending: _Ending) -> None:
    for line in log:
        text = line.decode(errors="replace").rstrip("\n")
        tell(text)
        last_error.see(text)
        if last_error.is_final:
            ending.begin()


def _describe(code: int) -> str:
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
