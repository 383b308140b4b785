"""A service that scores over HTTP, on this machine, for tests of remote rewards: what it answers, and what it was asked."""

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Answer:
    status: int = 200
    content: Any = None
    """JSON, or bytes as they are."""
    after_s: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)
    hangs_up: bool = False
    """Instead of an answer."""


def scores(*values: Any, **answer: Any) -> Answer:
    return Answer(content={"scores": list(values)}, **answer)


class Service(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, *answers: Answer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = list(answers)
        """To one request after the other; the last one to all that follow."""
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        """Path, headers and body."""
        self.lock = threading.Lock()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    def next_answer(self, request: tuple[str, dict[str, str], Any]) -> Answer:
        with self.lock:
            self.requests.append(request)
            return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def handle_error(self, *_: Any) -> None:
        """Clients that hang up are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    server: Service
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = self.server.next_answer((self.path, dict(self.headers), body))
        time.sleep(answer.after_s)
        if answer.hangs_up:
            self.close_connection = True
            return
        encoded = answer.content if isinstance(answer.content, bytes) else json.dumps(answer.content).encode()
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(encoded)))
        self.end_headers()
        self.wfile.write(encoded)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextlib.contextmanager
def running(*answers: Answer) -> Iterator[Service]:
    service = Service(*answers)
    thread = threading.Thread(target=service.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        service.shutdown()
        service.server_close()
