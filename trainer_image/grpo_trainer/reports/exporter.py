"""The HTTP port of a learner pod: /metrics, /healthz, and on learner 0 /progress.

One process per pod serves, from its first moment, before torch is imported. The thread reads what the training thread
wrote; it takes no part in collectives and never waits for training, so that a hung step is visible from outside.
"""

import socket
import sys
import threading
import time
from collections import deque
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import Any, Final

from prometheus_client import PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import CollectorRegistry

from grpo_contract.network import HEALTH_PATH, LEARNER_HTTP_PORT, METRICS_PATH, PROGRESS_PATH, every_address
from grpo_trainer.instruments.progress import ProgressBoard

LONGEST_WAIT_S: Final = 60.0
"""For the last scrape: GPUs are held meanwhile."""

JSON: Final = "application/json"
TEXT: Final = "text/plain; charset=utf-8"


def new_registry() -> CollectorRegistry:
    """A registry with what every process has: CPU seconds, memory, open files, the interpreter's version."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return registry


class Exporter(ThreadingHTTPServer):
    """Serves until the process ends. `board` is given on learner 0 only: there is one progress."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, registry: CollectorRegistry, board: ProgressBoard | None, port: int = LEARNER_HTTP_PORT) -> None:
        self.registry = registry
        self.board = board
        self._scrapes: deque[float] = deque(maxlen=3)  # two Prometheus servers come in turns
        self._scraped = threading.Condition()
        host = every_address()
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)
        threading.Thread(target=self.serve_forever, daemon=True, name="exporter").start()

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has hung up, as scrapers and probes do at their deadlines, is not worth its traceback."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def wait_for_last_scrape(self) -> bool:
        """Returns when Prometheus has read what there is now; false when it does not come, or never came.

        It reads every so often, and a process that ends right after its last step takes that step's values along.
        """
        with self._scraped:
            now = time.monotonic()
            deadline_s = self._longest_pause_s() * 2 - (now - self._scrapes[-1] if self._scrapes else 0)
            return self._scraped.wait_for(lambda: self._scraped_since(now), min(deadline_s, LONGEST_WAIT_S))

    def scraped(self, began: float) -> None:
        with self._scraped:
            self._scrapes.append(began)
            self._scraped.notify_all()

    def _longest_pause_s(self) -> float:
        return max((later - earlier for earlier, later in pairwise(self._scrapes)), default=0.0)

    def _scraped_since(self, moment: float) -> bool:
        return any(scrape > moment for scrape in self._scrapes)

    def answer(self, path: str, accept: str) -> tuple[HTTPStatus, str, bytes]:
        """Status, content type and body."""
        if path == METRICS_PATH:
            encode, content_type = choose_encoder(accept)
            return HTTPStatus.OK, content_type, encode(self.registry)
        if path == HEALTH_PATH:
            return HTTPStatus.OK, TEXT, b"ok\n"
        if path == PROGRESS_PATH and self.board is not None:
            return HTTPStatus.OK, JSON, self.board.hand_out().to_json().encode()
        return HTTPStatus.NOT_FOUND, TEXT, b"not found\n"


class _Handler(BaseHTTPRequestHandler):
    server: Exporter
    timeout = 10
    """Seconds after which a client that says nothing is let go."""

    def do_GET(self) -> None:
        path, began = self.path.partition("?")[0], time.monotonic()
        status, content_type, body = self.server.answer(path, self.headers.get("Accept", ""))
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        if path == METRICS_PATH:
            self.server.scraped(began)

    def log_message(self, format: str, *args: object) -> None:
        """Probes and scrapes come every few seconds: not worth a line in the log."""
