"""A server that is on its way down but does not get there is ended; vLLM's waits for open connections for ever."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from grpo_contract import environment
from grpo_contract.failure import GENERATOR_ERROR, Failure
from grpo_generator import supervisor

GRACE_S = 1.0
ENGINE_DIED = "vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue. See stack trace (above)."
SHUTDOWN = "INFO 11-24 11:19:39 [launcher.py:128] [shutdown] API server: shutdown triggered"
DEAF = "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
HANG = "time.sleep(600)\n"


@pytest.fixture
def supervise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], tuple[int, Failure | None]]]:
    """Run a program in vLLM's place: the exit code and what is in the termination file."""
    file = tmp_path / "termination"
    monkeypatch.setenv(environment.TERMINATION_FILE, str(file))
    monkeypatch.setattr(supervisor, "GRACE_S", GRACE_S)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def run(program: str) -> tuple[int, Failure | None]:
        code = supervisor.supervise([sys.executable, "-u", "-c", program], os.environ)
        return code, Failure.model_validate_json(file.read_text()) if file.exists() else None

    yield run
    for number, handler in before.items():
        signal.signal(number, handler)


def generator_error(message: str) -> Failure:
    return Failure(reason=GENERATOR_ERROR, message=message)


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (f"{DEAF}print({ENGINE_DIED!r})\n{HANG}", f"vLLM did not end within 1 s; its last error: {ENGINE_DIED}"),
        (
            f"{DEAF}print('ValueError: the cause')\nprint({ENGINE_DIED!r})\nprint('KeyError: noise')\n{HANG}",
            "vLLM did not end within 1 s; its last error: ValueError: the cause",
        ),
        (
            f"import time\nprint({ENGINE_DIED!r})\n{HANG}",  # SIGTERM is enough for it
            f"vLLM was killed by SIGTERM; its last error: {ENGINE_DIED}",
        ),
        (
            f"{DEAF}print('(APIServer pid=7) {SHUTDOWN}')\n{HANG}",
            f"vLLM did not end within 1 s; its last error: {SHUTDOWN}",
        ),
    ],
)
def test_a_server_without_engine_is_ended(
    supervise: Callable[[str], tuple[int, Failure | None]], program: str, message: str
) -> None:
    assert supervise(program) == (1, generator_error(message))


def test_a_server_that_is_deaf_to_sigterm_is_killed(supervise: Callable[[str], tuple[int, Failure | None]]) -> None:
    """As the kubelet does, to the first process of the pod only."""
    assert supervise(f"{DEAF}os.kill(os.getppid(), signal.SIGTERM)\n{HANG}") == (0, None)


def test_a_server_that_ends_by_itself_is_not_forced(supervise: Callable[[str], tuple[int, Failure | None]]) -> None:
    end = "signal.signal(signal.SIGTERM, lambda *_: os._exit(3))\n"
    code, failure = supervise(f"{DEAF}{end}print({ENGINE_DIED!r})\n{HANG}")
    assert (code, failure) == (3, generator_error(f"vLLM ended with exit code 3; its last error: {ENGINE_DIED}"))
