"""Programs that run beside a test and end with it."""

import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

STOP_TIMEOUT_S = 10

# A test that is killed cannot clean up; the kernel ends its daemons then.
WITH_THE_TEST = ("setpriv", "--pdeathsig", "KILL")


@contextmanager
def daemon(
    command: list[str], log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """`environment` None: that of the test. Ends by SIGTERM, and by SIGKILL when that does not help."""
    with (
        log.open("ab") as output,
        subprocess.Popen(
            [*WITH_THE_TEST, *command], stdout=output, stderr=output, cwd=log.parent, env=environment
        ) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def address_of_nobody() -> Iterator[tuple[str, int]]:
    """Connections to it are neither accepted nor refused, as at the address of a pod that is gone: a listener whose queue is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        with socket.create_connection(listener.getsockname(), timeout=STOP_TIMEOUT_S):
            yield listener.getsockname()


def free_port() -> int:
    (port,) = free_ports(1)
    return port


def free_ports(count: int) -> list[int]:
    # All are held until all are known, so that no port is given twice.
    with ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [entry.getsockname()[1] for entry in sockets]
