"""Run vLLM, pass its log on, and say why it ended.

vLLM's processes die in many ways (an exception in a worker, the kernel's OOM killer), and its server then often ends
with 0. Seen from here each of them is an end that nobody asked for.
"""

import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import IO, Final

from grpo_contract import pod
from grpo_contract.failure import GENERATOR_ERROR, Failure
from grpo_generator.last_error import LastError

LOG_END_S: Final = 2.0
"""For the rest of the log: workers that outlive the server keep the pipe open."""


def supervise(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """The exit code of this process, once the command has ended; the termination file is written."""
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    stopped = _pass_signals_on(process)
    last_error = LastError()
    assert process.stdout is not None
    log = threading.Thread(target=_pass_log_on, args=(process.stdout, last_error), daemon=True)
    log.start()
    code = process.wait()
    log.join(LOG_END_S)
    if stopped.is_set():
        return 0
    pod.report_failure(Failure(reason=GENERATOR_ERROR, message=_describe(code, last_error.text)))
    return code if code > 0 else 1


def _pass_signals_on(process: subprocess.Popen[bytes]) -> threading.Event:
    stopped = threading.Event()

    def stop(number: int, _: FrameType | None) -> None:
        stopped.set()
        process.send_signal(number)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    return stopped


def _pass_log_on(log: IO[bytes], last_error: LastError) -> None:
    for line in log:
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()
        last_error.see(line.decode(errors="replace"))


def _describe(code: int, last_error: str) -> str:
    end = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    return f"vLLM {end}; its last error: {last_error or 'none was logged'}"
