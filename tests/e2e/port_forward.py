"""Reading an HTTP path of a pod through the kubelet, as `kubectl port-forward` does: no NetworkPolicy stands in between."""

import urllib.request

from cluster.port_forward import forwarded
from harness.kubectl import Kubectl


def read_through(kubectl: Kubectl, pod: str, port: int, path: str) -> bytes:
    command = kubectl.command("port-forward", pod, f":{port}")
    with forwarded(command) as address, urllib.request.urlopen(address + path, timeout=30) as answer:
        content: bytes = answer.read()
        return content
