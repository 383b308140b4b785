"""Where the run's generators are. They come and go, so this is asked again and again."""

import socket
from typing import Protocol


class Discovery(Protocol):
    def urls(self) -> list[str]:
        """Base URLs of all generators that exist now, ready or not."""


class ServiceDiscovery:
    """Address records of a headless Service. Its name does not exist while it has no pods."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port

    def urls(self) -> list[str]:
        try:
            found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except socket.gaierror:
            return []
        addresses = sorted({str(sockaddr[0]) for *_, sockaddr in found})
        return [f"http://{f'[{address}]' if ':' in address else address}:{self._port}" for address in addresses]
