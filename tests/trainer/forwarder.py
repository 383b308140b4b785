"""The port of a generator under another address: learners find generators by address alone, on the contract's port."""

import contextlib
import socket
import socketserver
import threading

from grpo_trainer.fleet.generator import MOST_CONNECTIONS


class Forwarder(socketserver.ThreadingTCPServer):
    """Forwards until its context ends."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = MOST_CONNECTIONS  # of the default's five, the kernel resets some when they come at once

    def __init__(self, address: tuple[str, int], target: tuple[str, int]) -> None:
        self.target = target
        super().__init__(address, _Forward)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        self.server_close()


class _Forward(socketserver.BaseRequestHandler):
    server: Forwarder
    request: socket.socket

    def handle(self) -> None:
        with socket.create_connection(self.server.target) as target:
            answers = threading.Thread(target=_copy, args=(target, self.request), daemon=True)
            answers.start()
            _copy(self.request, target)
            answers.join()


def _copy(source: socket.socket, destination: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(1 << 16):
            destination.sendall(chunk)
        destination.shutdown(socket.SHUT_WR)
