"""A hub that gives no answer is named as that, with the key that needs it and what to look at."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import datasets
import huggingface_hub
import pytest

from grpo_contract.failure import RunFailure
from grpo_trainer.inputs.data import load_from_hub
from grpo_trainer.sources import Source
from harness.daemons import free_ports
from trainer.hub_files import send_json

DEADLINE_S = 120
REMEDY = (
    "; let the run's pods reach it (HF_ENDPOINT, or HTTPS_PROXY, in spec.learners.env and spec.generators.env), or give a "
    "path on the volume."
)


class Answer(BaseHTTPRequestHandler):
    status = 503
    code = "Overloaded"

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.send_header("X-Error-Code", self.code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET  # noqa: N815 (http.server's name)

    def log_message(self, *_: object) -> None: ...


class NoSuchRepository(Answer):
    status = 404
    code = "RepoNotFound"


COMMIT = "0" * 40
FILE: dict[str, Any] = {"type": "file", "path": "train.csv", "size": 100, "oid": "1"}


class WithoutRows(Answer):
    """There is such a data set, and of its file the size is told, but no byte."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path.endswith("/train.csv"):
            super().do_GET()
        elif "/resolve/" in path:
            send_json(self, 404, {}, "EntryNotFound")
        else:
            send_json(self, 200, [FILE] if "/tree/" in path else {"id": "org/data", "sha": COMMIT}, "")

    do_HEAD = do_GET  # noqa: N815 (http.server's name)

    def do_POST(self) -> None:
        """Which of these paths there are."""
        asked = self.rfile.read(int(self.headers["Content-Length"])).decode()
        send_json(self, 200, [FILE] if FILE["path"] in asked else [], "")


def serve(handler: type[Answer]) -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def overloaded() -> Iterator[str]:
    yield from serve(Answer)


@pytest.fixture
def empty() -> Iterator[str]:
    yield from serve(NoSuchRepository)


@pytest.fixture
def without_rows() -> Iterator[str]:
    yield from serve(WithoutRows)


@pytest.fixture
def nobody() -> str:
    (port,) = free_ports(1)
    return f"http://127.0.0.1:{port}"


ASKED = {
    "data": "dataset_name: 'org/data'",
    "stream": "dataset_name: 'org/data'",
    "model": "model_name_or_path: 'org/model'",
}


OF_WHO_TESTS = {"http_proxy", "https_proxy", "all_proxy", "hf_hub_offline", "hf_datasets_offline"}
"""Variables that lead elsewhere."""


def failures(asked: Iterable[str], url: str, folder: Path, **more: str) -> list[dict[str, Any]]:
    inherited = {name: value for name, value in os.environ.items() if name.lower() not in OF_WHO_TESTS}
    environment = inherited | {"HF_ENDPOINT": url, "HF_HOME": str(folder)} | more
    command = [sys.executable, "-m", "trainer.asking_hub", *asked]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, timeout=DEADLINE_S)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("hub", "why"),
    [
        ("nobody", {"data": "Connection refused", "model": "Connection refused"}),
        ("overloaded", {"data": "503", "model": "503"}),
        ("without_rows", {"stream": "503"}),
    ],
)
def test_no_answer(request: pytest.FixtureRequest, tmp_path: Path, hub: str, why: dict[str, str]) -> None:
    url = request.getfixturevalue(hub)
    for (what, reason), told in zip(why.items(), failures(why, url, tmp_path), strict=True):
        assert (told["reason"], told["is_mistake"]) == ("HubUnreachable", False)
        assert told["message"].startswith(f"spec.recipe.{ASKED[what]} cannot be had from the hub at {url}, ")
        assert reason in told["message"]
        assert told["message"].endswith(REMEDY)


def test_offline_is_said(tmp_path: Path, nobody: str) -> None:
    (told,) = failures(["data"], nobody, tmp_path, HF_HUB_OFFLINE="1")
    assert told["reason"] == "HubUnreachable"
    assert "offline mode is enabled" in told["message"]


def test_no_is_an_answer(tmp_path: Path, empty: str) -> None:
    told = failures(["data", "model"], empty, tmp_path)
    assert [(entry["reason"], entry["is_mistake"]) for entry in told] == [
        ("DatasetNotFound", True),
        ("ModelNotFound", True),
    ]


def test_what_another_run_left_in_the_cache_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`datasets` looks there for the configuration, and finds another one."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    cached = tmp_path / "cache" / "org___data" / "default" / "0.0.0" / "abc"
    cached.mkdir(parents=True)
    (cached / "dataset_info.json").write_text(json.dumps({"config_name": "default"}))
    with pytest.raises(RunFailure, match="offline mode is enabled") as caught:
        load_from_hub(Source("org/data", config="algebra"))
    assert caught.value.failure.reason == "HubUnreachable"
