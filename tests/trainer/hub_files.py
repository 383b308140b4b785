"""A hub that is read from: repositories with one commit each, by the API that huggingface_hub and `datasets` download with."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

COMMIT = "1" * 40
REPOSITORY = re.compile(r"/api/(models|datasets)/([^/]+/[^/]+)(?:/revision/[^/]+)?")
LISTING = re.compile(r"/api/(models|datasets)/([^/]+/[^/]+)/(?:tree|paths-info)/[^/]+(?:/.*)?")
CONTENT = re.compile(r"/(?:(datasets)/)?([^/]+/[^/]+)/resolve/[^/]+/(.+)")

Files = Mapping[str, bytes]


class FileHub(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, repositories: Mapping[tuple[str, str], Files]) -> None:
        """`repositories`: {(models or datasets, name): {path: content}}."""
        self.repositories = repositories
        self.sent: list[str] = []
        """Of each file whose content was sent, repository and path."""
        super().__init__(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def environment(self) -> dict[str, str]:
        url = f"http://127.0.0.1:{self.server_port}"
        return {"HF_ENDPOINT": url, "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0"}


@contextmanager
def running_file_hub(repositories: Mapping[tuple[str, str], Files]) -> Iterator[FileHub]:
    hub = FileHub(repositories)
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: FileHub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = unquote(self.path.partition("?")[0])
        if (match := CONTENT.fullmatch(path)) is not None:
            self.answer_content(match[1] or "models", match[2], match[3])
        elif (match := LISTING.fullmatch(path)) is not None:
            self.answer_json(self.listing(match[1], match[2]))
        elif (match := REPOSITORY.fullmatch(path)) is not None:
            files = self.server.repositories.get((match[1], match[2]))
            siblings = [{"rfilename": path} for path in files or ()]
            self.answer_json(None if files is None else {"id": match[2], "sha": COMMIT, "siblings": siblings})
        else:
            self.answer_json(None)

    do_HEAD = do_GET  # noqa: N815 (http.server's name)

    def do_POST(self) -> None:
        """paths-info: which of these paths there are."""
        asked = self.rfile.read(int(self.headers["Content-Length"])).decode()
        match = LISTING.fullmatch(unquote(self.path.partition("?")[0]))
        entries = [] if match is None else self.listing(match[1], match[2])
        self.answer_json([entry for entry in entries if entry["path"] in asked])

    def listing(self, kind: str, name: str) -> list[dict[str, Any]]:
        files = self.server.repositories.get((kind, name), {})
        return [{"type": "file", "path": path, "size": len(files[path]), "oid": tag(files[path])} for path in files]

    def answer_content(self, kind: str, name: str, path: str) -> None:
        content = self.server.repositories.get((kind, name), {}).get(path)
        if content is None:
            self.answer_json(None, "EntryNotFound")
            return
        self.send_response(200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{tag(content)}"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.server.sent.append(f"{name}/{path}")
            self.wfile.write(content)

    def answer_json(self, content: Any, code: str = "RepoNotFound") -> None:
        """None: there is no such thing."""
        send_json(self, 404 if content is None else 200, content, code if content is None else "")

    def log_message(self, *_: object) -> None: ...


def send_json(handler: BaseHTTPRequestHandler, status: int, content: Any, code: str) -> None:
    """`code`: the hub's word for why there is nothing."""
    encoded = json.dumps(content).encode()
    handler.send_response(status)
    handler.send_header("X-Error-Code", code)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(encoded)))
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(encoded)


def tag(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()
