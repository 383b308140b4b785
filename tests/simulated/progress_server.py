"""A stand-in for learner 0: answers `/progress` on the learners' port of a loopback address of its own."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from grpo_contract.network import LEARNER_HTTP_PORT, PROGRESS_PATH
from grpo_contract.progress import Progress


class ProgressServer:
    """`progress` may be replaced at any time; `requests` counts what was asked. While `answers` is not set nobody hears."""

    def __init__(self, address: str, progress: Progress) -> None:
        self.address, self.progress, self.requests = address, progress, 0
        self.answers = threading.Event()
        self.answers.set()


@contextmanager
def serving_progress(address: str, progress: Progress) -> Iterator[ProgressServer]:
    """`address`: one of 127.0.0.0/8 that nothing else uses."""
    server = ProgressServer(address, progress)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.requests += 1
            server.answers.wait()
            content = server.progress.to_json().encode()
            self.send_response(200 if self.path == PROGRESS_PATH else 404)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer((address, LEARNER_HTTP_PORT), Handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.answers.set()
            http.shutdown()
            thread.join()
