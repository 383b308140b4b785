"""Where the run's generators are. They come and go, so this is asked again and again."""

import socket
from typing import Final, Protocol

NO_SUCH_NAME: Final = {socket.EAI_NONAME, socket.EAI_NODATA}
"""DNS answered, as it does for a headless Service without pods. Any other error is no answer."""


class Discovery(Protocol):
    def urls(self) -> list[str]:
        """Base URLs of all generators that exist now, ready or not."""


class ServiceDiscovery:
    """Address records of a headless Service. While DNS does not answer, generators are where they last were."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._addresses: list[str] = []

    def urls(self) -> list[str]:
        self._look_up()
        return [f"http://{f'[{address}]' if ':' in address else address}:{self._port}" for address in self._addresses]

    def _look_up(self) -> None:
        try:
            found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            if error.errno in NO_SUCH_NAME:
                self._addresses = []
        else:
            self._addresses = sorted({str(sockaddr[0]) for *_, sockaddr in found})
