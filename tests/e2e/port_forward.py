"""Reading an HTTP path of a pod through the kubelet, as `kubectl port-forward` does: no NetworkPolicy stands in between."""

import contextlib
import urllib.request
from collections.abc import Iterator

from harness.kubectl import Kubectl


def read_through(kubectl: Kubectl, pod: str, port: int, path: str) -> bytes:
    with forwarded(kubectl, pod, port) as address, urllib.request.urlopen(address + path, timeout=30) as answer:
        content: bytes = answer.read()
        return content


@contextlib.contextmanager
def forwarded(kubectl: Kubectl, pod: str, port: int) -> Iterator[str]:
    with kubectl.popen("port-forward", pod, f":{port}") as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("Forwarding from 127.0.0.1:"), line
        yield f"http://127.0.0.1:{line.split(':')[1].split()[0]}"
        process.terminate()
