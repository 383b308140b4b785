"""A hub that gives no answer costs a restart next to nothing where its volume holds what it needs."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import datasets
import huggingface_hub
import pytest

from grpo_trainer.inputs import hub_silence
from grpo_trainer.inputs.hub_silence import is_data_cached, is_model_cached, without_silent_hub
from grpo_trainer.sources import Source
from trainer.hub_files import running_file_hub
from trainer.learner_inputs import write_problems
from trainer.loading_from_hub import DATA, MODEL

DEADLINE_S = 300
OF_CLIENT = "/api/agent-harnesses"
"""What huggingface_hub asks once on its own account."""


class Silent(ThreadingHTTPServer):
    """Takes every connection and answers nothing but that it is overloaded."""

    daemon_threads = True

    def __init__(self) -> None:
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), _Overloaded)
        Thread(target=self.serve_forever, daemon=True).start()


class _Overloaded(BaseHTTPRequestHandler):
    server: Silent

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.send_response(503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_POST = do_GET  # noqa: N815 (http.server's name)

    def log_message(self, *_: object) -> None: ...


def load(folder: Path, url: str) -> str:
    """The log of a process that loads tokenizer, rows and model."""
    environment = os.environ | {
        "HF_HOME": str(folder),
        "HF_ENDPOINT": url,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_OFFLINE": "0",
    }
    done = subprocess.run(
        [sys.executable, "-m", "trainer.loading_from_hub"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture
def silent() -> Iterator[Silent]:
    server = Silent()
    yield server
    server.shutdown()
    server.server_close()


def test_a_restart_without_the_hub_asks_it_once(tiny_model: Path, tmp_path: Path, silent: Silent) -> None:
    """It asked 64 times, seven times for each file that is no part of the cache."""
    files = {file.name: file.read_bytes() for file in tiny_model.iterdir()}
    rows = {"train.jsonl": write_problems(tmp_path / "train.jsonl").read_bytes()}
    with running_file_hub({("models", MODEL): files, ("datasets", DATA): rows}) as hub:
        assert "gives no answer" not in load(tmp_path / "volume", hub.environment["HF_ENDPOINT"])
    url = f"http://127.0.0.1:{silent.server_port}"
    log = load(tmp_path / "volume", url)
    assert [path for path in silent.asked if path != OF_CLIENT] == ["/"]
    assert log.count(f"the hub at {url} gives no answer (Server error '503 Service Unavailable' for url") == 1


@pytest.fixture
def is_silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """How often the hub was asked."""
    asked: list[str] = []

    def refused() -> ConnectionError:
        asked.append("asked")
        return ConnectionError("refused")

    monkeypatch.setattr(hub_silence, "trouble_now", refused)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    hub_silence.is_hub_silent.cache_clear()
    yield asked
    hub_silence.is_hub_silent.cache_clear()


def is_offline() -> tuple[bool, bool]:
    return huggingface_hub.is_offline_mode(), datasets.config.HF_HUB_OFFLINE


def test_only_what_is_on_the_volume_is_loaded_offline(is_silent: list[str]) -> None:
    before = is_offline()
    with without_silent_hub(lambda: False):
        assert is_offline() == before
    assert is_silent == []
    for _ in (1, 2):
        with pytest.raises(KeyError), without_silent_hub(lambda: True):
            assert is_offline() == (True, True)
            raise KeyError
        assert is_offline() == before  # pushes, and what the volume does not hold
    assert is_silent == ["asked"]


def cached(folder: Path, files: dict[str, str]) -> Path:
    """As huggingface_hub keeps a repository."""
    repository = folder / "models--org--model"
    snapshot = repository / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    for name, text in files.items():
        (snapshot / name).write_text(text)
    return snapshot


INDEX = json.dumps({"weight_map": {"a": "model-1-of-2.safetensors", "b": "model-2-of-2.safetensors"}})
WHOLE = {"config.json": "{}", "tokenizer.json": "", "model.safetensors": ""}
IN_PARTS = {
    "config.json": "{}",
    "tokenizer.json": "",
    "model.safetensors.index.json": INDEX,
    "model-1-of-2.safetensors": "",
    "model-2-of-2.safetensors": "",
}


@pytest.mark.parametrize(
    ("files", "missing", "is_complete"),
    [
        *((WHOLE, name, False) for name in WHOLE),
        (WHOLE, None, True),
        (IN_PARTS, None, True),
        (IN_PARTS, "model-1-of-2.safetensors", False),
        ({}, None, False),
    ],
)
def test_models_on_the_volume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], missing: str | None, is_complete: bool
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    cached(tmp_path, {name: text for name, text in files.items() if name != missing})
    assert is_model_cached("org/model", None) is is_complete
    assert is_model_cached("org/model", "main") is is_complete
    assert is_model_cached("org/model", "v2") is False


@pytest.mark.parametrize(
    ("source", "is_there"),
    [
        (Source("org/data"), True),
        (Source("org/data", config="algebra"), True),
        (Source("org/data", config="geometry"), False),
        (Source("org/data", is_streamed=True), False),
        (Source("org/other"), False),
    ],
)
def test_data_sets_on_the_volume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: Source, is_there: bool
) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    prepared = tmp_path / "org___data" / "algebra" / "0.0.0" / "abc"
    prepared.mkdir(parents=True)
    (prepared / "dataset_info.json").touch()
    assert is_data_cached(source) is is_there
