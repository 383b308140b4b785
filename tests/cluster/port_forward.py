"""`kubectl port-forward` for as long as a block runs."""

import contextlib
import select
import subprocess
from collections.abc import Iterator, Sequence

from cluster.waiting import ClusterError

START_S = 30.0


@contextlib.contextmanager
def forwarded(command: Sequence[str], start_s: float = START_S) -> Iterator[str]:
    """The address at which `command`, a `kubectl port-forward POD :PORT`, listens.

    Raises:
        ClusterError: it has said nothing within `start_s`, or something else; that is the message.
    """
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            assert process.stdout is not None
            if not select.select([process.stdout], [], [], start_s)[0]:
                raise ClusterError(f"{' '.join(command)}: said nothing within {start_s:.1f} s")
            line = process.stdout.readline()
            if not line.startswith("Forwarding from 127.0.0.1:"):
                raise ClusterError(f"{' '.join(command)}: {line}".strip())
            yield f"http://127.0.0.1:{line.split(':')[1].split()[0]}"
        finally:
            process.kill()  # Popen waits for its end, however long that takes
