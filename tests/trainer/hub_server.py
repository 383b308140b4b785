"""A hub: as much of its API as a push needs, in memory, with large files by the LFS protocol.

Ask for it with HF_ENDPOINT, and with HF_HUB_DISABLE_XET: Xet is a storage of its own, which the hub's clients can do without.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

USER = "me"
TOKEN = "hf_test"
LFS_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth")
INITIAL = "0" * 40

Json = dict[str, Any]


@dataclass
class Commit:
    oid: str
    title: str
    message: str
    files: dict[str, bytes]


@dataclass
class Repository:
    is_private: bool | None
    branches: dict[str, list[Commit]] = field(default_factory=dict)
    """Oldest first."""

    def files(self, branch: str = "main") -> dict[str, bytes]:
        return self.branches[branch][-1].files

    def titles(self, branch: str = "main") -> list[str]:
        return [commit.title for commit in self.branches[branch]]


class Hub(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.lfs: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.refuse_with: HTTPStatus | None = None
        """What every request is answered, instead of what it asks for."""
        self.first_files: dict[str, bytes] = {".gitattributes": b""}
        """Of a repository that is made. On the website one gets a README.md as well, for its licence."""
        self.on_commit: Callable[[], None] = lambda: None
        self.lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def environment(self) -> dict[str, str]:
        return {"HF_ENDPOINT": self.url, "HF_TOKEN": TOKEN, "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0"}

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients are killed by the tests."""

    def close(self) -> None:
        self.shutdown()
        self.server_close()


@contextmanager
def running_hub() -> Iterator[Hub]:
    hub = Hub()
    try:
        yield hub
    finally:
        hub.close()


def create(hub: Hub, body: bytes) -> tuple[HTTPStatus, Json]:
    asked = json.loads(body)
    name = f"{asked['organization'] or USER}/{asked['name']}"
    if name in hub.repositories:
        return HTTPStatus.CONFLICT, {"error": "You already created this model repo", "url": f"{hub.url}/{name}"}
    is_private = {"private": True, "public": False}.get(asked.get("visibility"))
    first = Commit(INITIAL, "initial commit", "", hub.first_files)
    hub.repositories[name] = Repository(is_private, {"main": [first]})
    return HTTPStatus.OK, {"url": f"{hub.url}/{name}"}


def validate(hub: Hub, body: bytes) -> tuple[HTTPStatus, Json]:
    return HTTPStatus.OK, {"errors": [], "warnings": []}


def refs(hub: Hub, body: bytes, name: str) -> tuple[HTTPStatus, Json]:
    branches = [
        {"name": branch, "ref": f"refs/heads/{branch}", "targetCommit": commits[-1].oid}
        for branch, commits in hub.repositories[name].branches.items()
    ]
    return HTTPStatus.OK, {"branches": branches, "converts": [], "tags": []}


def commits(hub: Hub, body: bytes, name: str, branch: str) -> tuple[HTTPStatus, list[Json]]:
    return HTTPStatus.OK, [
        {
            "id": commit.oid,
            "title": commit.title,
            "message": commit.message,
            "authors": [{"user": USER}],
            "date": "2026-01-01T00:00:00.000Z",
        }
        for commit in reversed(hub.repositories[name].branches[branch])
    ]


def branch_off(hub: Hub, body: bytes, name: str, branch: str) -> tuple[HTTPStatus, Json]:
    repository = hub.repositories[name]
    assert branch not in repository.branches
    start = json.loads(body)["startingPoint"]
    main = repository.branches["main"]
    repository.branches[branch] = main[: [commit.oid for commit in main].index(start) + 1]
    return HTTPStatus.OK, {}


def tree(hub: Hub, body: bytes, name: str, branch: str) -> tuple[HTTPStatus, list[Json]]:
    files = hub.repositories[name].files(branch)
    return HTTPStatus.OK, [
        {"type": "file", "path": path, "size": len(content), "oid": "0"} for path, content in files.items()
    ]


def preupload(hub: Hub, body: bytes, name: str, branch: str) -> tuple[HTTPStatus, Json]:
    paths = [file["path"] for file in json.loads(body)["files"]]
    modes = ["lfs" if path.endswith(LFS_SUFFIXES) else "regular" for path in paths]
    return HTTPStatus.OK, {
        "files": [
            {"path": path, "uploadMode": mode, "shouldIgnore": False} for path, mode in zip(paths, modes, strict=True)
        ]
    }


def batch(hub: Hub, body: bytes, name: str) -> tuple[HTTPStatus, Json]:
    def actions(oid: str) -> Json:
        return {} if oid in hub.lfs else {"actions": {"upload": {"href": f"{hub.url}/lfs/{oid}"}}}

    objects = json.loads(body)["objects"]
    return HTTPStatus.OK, {"transfer": "basic", "objects": [thing | actions(thing["oid"]) for thing in objects]}


def upload(hub: Hub, body: bytes, oid: str) -> tuple[HTTPStatus, Json]:
    assert hashlib.sha256(body).hexdigest() == oid
    hub.lfs[oid] = body
    return HTTPStatus.OK, {}


def commit(hub: Hub, body: bytes, name: str, branch: str) -> tuple[HTTPStatus, Json]:
    hub.on_commit()
    history = hub.repositories[name].branches[branch]
    files = dict(history[-1].files)
    header: Json = {}
    for line in body.splitlines():
        entry = json.loads(line)
        value = entry["value"]
        match entry["key"]:
            case "header":
                header = value
            case "file":
                files[value["path"]] = base64.b64decode(value["content"])
            case "lfsFile":
                files[value["path"]] = hub.lfs[value["oid"]]
            case "deletedFile":
                del files[value["path"]]
    oid = hashlib.sha1(body + history[-1].oid.encode()).hexdigest()
    hub.repositories[name].branches[branch] = [*history, Commit(oid, header["summary"], header["description"], files)]
    return HTTPStatus.OK, {"commitUrl": f"{hub.url}/{name}/commit/{oid}", "commitOid": oid}


_NAME = "([^/]+/[^/]+)"
ROUTES: list[tuple[str, str, Callable[..., tuple[HTTPStatus, Any]]]] = [
    ("POST", "/api/repos/create", create),
    ("POST", "/api/validate-yaml", validate),
    ("GET", f"/api/models/{_NAME}/refs", refs),
    ("GET", f"/api/models/{_NAME}/commits/([^/]+)", commits),
    ("GET", f"/api/models/{_NAME}/tree/([^/]+)", tree),
    ("POST", f"/api/models/{_NAME}/branch/([^/]+)", branch_off),
    ("POST", f"/api/models/{_NAME}/preupload/([^/]+)", preupload),
    ("POST", f"/api/models/{_NAME}/commit/([^/]+)", commit),
    ("POST", rf"/{_NAME}\.git/info/lfs/objects/batch", batch),
    ("PUT", "/lfs/([0-9a-f]{64})", upload),
]


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        self.answer()

    def do_PUT(self) -> None:
        self.answer()

    def answer(self) -> None:
        body = self.read_body()
        with self.server.lock:
            self.server.requests.append(f"{self.command} {self.path}")
            status, content = self.find_answer(self.path.partition("?")[0], body)
        encoded = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(encoded)))
        self.end_headers()
        self.wfile.write(encoded)

    def find_answer(self, path: str, body: bytes) -> tuple[HTTPStatus, Any]:
        if self.server.refuse_with is not None:
            return self.server.refuse_with, {"error": "as the test says"}
        if not path.startswith("/lfs/") and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return HTTPStatus.UNAUTHORIZED, {"error": "Invalid username or password."}
        for method, pattern, answer in ROUTES:
            if self.command == method and (match := re.fullmatch(pattern, path)):
                return answer(self.server, body, *map(unquote, match.groups()))
        return HTTPStatus.NOT_FOUND, {"error": f"no {self.command} {path}"}

    def read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def log_message(self, format: str, *args: object) -> None:
        pass
