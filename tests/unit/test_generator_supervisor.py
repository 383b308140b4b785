"""A server that is on its way down but does not get there is ended; vLLM's waits for open connections for ever."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from grpo_contract import environment
from grpo_contract.failure import USER_ERROR_EXIT_CODE, Failure, PodReason
from grpo_generator import supervisor
from grpo_generator.leaving import LEAVE

GRACE_S = 1.0
WRITES_S = 4.0
"""Of the pod's grace period, before that."""
ENGINE_DIED = "vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue. See stack trace (above)."
SHUTDOWN = "INFO 11-24 11:19:39 [launcher.py:128] [shutdown] API server: shutdown triggered"
DEAF = "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
HANG = "time.sleep(600)\n"
ASK = "os.kill(os.getppid(), signal.SIGTERM)\n"
"""As the kubelet does, the first process of the pod only."""


@pytest.fixture
def supervise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], tuple[int, Failure | None]]]:
    """Run a program in vLLM's place: the exit code and what is in the termination file."""
    file = tmp_path / "termination"
    monkeypatch.setenv(environment.TERMINATION_FILE, str(file))
    monkeypatch.setattr(supervisor, "GRACE_S", GRACE_S)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def run(program: str) -> tuple[int, Failure | None]:
        code = supervisor.supervise([sys.executable, "-u", "-c", program], os.environ, GRACE_S + WRITES_S)
        return code, Failure.model_validate_json(file.read_text()) if file.exists() else None

    yield run
    for number, handler in before.items():
        signal.signal(number, handler)


def generator_error(message: str) -> Failure:
    return Failure(reason=PodReason.GENERATOR_ERROR, message=message)


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
    assert supervise(f"{DEAF}signal.signal(signal.SIGUSR1, signal.SIG_IGN)\n{ASK}{HANG}") == (0, None)


def test_a_server_has_time_to_leave_and_is_then_ended(
    supervise: Callable[[str], tuple[int, Failure | None]], tmp_path: Path
) -> None:
    """It is told at once, and SIGTERM comes when GRACE_S are left."""
    told = tmp_path / "told"
    tell = (
        "began = time.monotonic()\n"
        f"tell = lambda number, _: print(number, time.monotonic() - began, file=open({str(told)!r}, 'a'))\n"
        "signal.signal(signal.SIGUSR1, tell)\n"
        "signal.signal(signal.SIGTERM, lambda number, _: (tell(number, _), os._exit(0)))\n"
    )
    assert supervise(f"{DEAF}{tell}{ASK}while True: time.sleep(0.1)\n") == (0, None)
    (leave, soon_s), (term, late_s) = (line.split() for line in told.read_text().splitlines())
    assert (int(leave), int(term)) == (LEAVE, signal.SIGTERM)
    assert float(soon_s) < WRITES_S <= float(late_s) + 0.1


def test_a_server_that_does_not_serve_yet_ends_at_once(supervise: Callable[[str], tuple[int, Failure | None]]) -> None:
    began = time.monotonic()
    assert supervise(f"{DEAF}{ASK}{HANG}") == (0, None)
    assert time.monotonic() - began < WRITES_S


def test_a_server_that_ends_by_itself_is_not_forced(supervise: Callable[[str], tuple[int, Failure | None]]) -> None:
    end = "signal.signal(signal.SIGTERM, lambda *_: os._exit(3))\n"
    code, failure = supervise(f"{DEAF}{end}print({ENGINE_DIED!r})\n{HANG}")
    assert (code, failure) == (3, generator_error(f"vLLM ended with exit code 3; its last error: {ENGINE_DIED}"))


def test_a_cache_that_no_attempt_has_room_for_is_the_users_mistake(
    supervise: Callable[[str], tuple[int, Failure | None]],
) -> None:
    words = (
        "ValueError: To serve at least one request with the model's max seq len (32768), (3.5 GiB KV cache is needed, "
        "which is larger than the available KV cache memory (1.0 GiB). Try increasing `gpu_memory_utilization`"
    )
    code, failure = supervise(f"print({'(EngineCore pid=7) ERROR 11-24 05:33:25 [core.py:900] ' + words!r})")
    assert code == USER_ERROR_EXIT_CODE
    assert failure is not None
    assert failure.reason == PodReason.INVALID_RECIPE
    assert failure.message.startswith("spec.recipe.vllm_max_model_length: 32768 tokens need a KV cache of 3.5 GiB")
