"""How a generator that cannot start ends: soon, with an exit code and a sentence for the operator."""

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from grpo_contract import environment
from grpo_contract.failure import USER_ERROR_EXIT_CODE, Failure, PodReason, UserError
from grpo_generator.model import check_model
from grpo_generator.supervisor import supervise
from trainer.running_generator import RunningGenerator, run_config

SOON_S = 30
"""Without vLLM; importing that alone takes longer on a busy machine."""

REMEDY = "give a model's folder on the run's volume, which is mounted at /volume, or its id on the hub."


def end_of(running: RunningGenerator) -> tuple[int, Failure]:
    code = running.process.wait(timeout=300)
    return code, Failure.model_validate_json(running.termination_file.read_text())


def test_a_missing_model_is_the_users_mistake_and_said_at_once(tmp_path: Path) -> None:
    started = time.monotonic()
    code, failure = end_of(
        RunningGenerator(tmp_path, run_config({"model_name_or_path": "/no/such/model"}), "generator")
    )
    assert time.monotonic() - started < SOON_S
    assert code == USER_ERROR_EXIT_CODE
    assert failure.reason == PodReason.MODEL_NOT_FOUND
    assert failure.message == (
        "spec.recipe.model_name_or_path: '/no/such/model' does not exist, nor does /no/such; " + REMEDY
    )


def test_what_vllm_refuses_is_the_users_mistake(tiny_model: Path, tmp_path: Path) -> None:
    recipe = {"model_name_or_path": str(tiny_model), "vllm_max_model_length": 100_000}
    code, failure = end_of(RunningGenerator(tmp_path, run_config(recipe), "generator"))
    assert code == USER_ERROR_EXIT_CODE
    assert failure.reason == PodReason.INVALID_RECIPE
    assert failure.message.startswith(
        "spec.recipe.vllm_max_model_length: vLLM refuses 100000, User-specified max_model_len (100000) is greater than"
    )
    assert failure.message.endswith("; set a smaller number of tokens.")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "is no model, it has no config.json but nothing"),
        ("{", r"is no model, its config.json is no JSON \(.*\)"),
        ("[]", "is no model, its config.json names no model_type"),
        ('{"hidden_size": 1}', "is no model, its config.json names no model_type"),
    ],
)
def test_a_folder_that_is_no_model(tmp_path: Path, content: str | None, problem: str) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    sentence = rf"^spec\.recipe\.model_name_or_path: '{tmp_path}' {problem}; {REMEDY}$"
    with pytest.raises(UserError, match=sentence) as mistake:
        check_model({"model_name_or_path": str(tmp_path)})
    assert mistake.value.failure.reason == PodReason.MODEL_NOT_FOUND


def test_a_model_without_weights_will_do(tmp_path: Path) -> None:
    """They come from the learner in the end."""
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "qwen2"}))
    check_model({"model_name_or_path": str(tmp_path)})


class Hub(http.server.BaseHTTPRequestHandler):
    """Answers as the hub does for what is not there."""

    errors: ClassVar = {"/nobody/": "RepoNotFound", "/old/": "RevisionNotFound", "/data/": "EntryNotFound"}

    def do_HEAD(self) -> None:
        code = next((code for prefix, code in self.errors.items() if self.path.startswith(prefix)), None)
        self.send_response(404 if code else 503)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD  # noqa: N815

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def ask_hub(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Check a model against a hub of our own; the hub's client reads its address when it is imported."""
    program = (
        "import sys; from grpo_contract.failure import UserError; from grpo_generator.model import check_model\n"
        "try: check_model({'model_name_or_path': sys.argv[1], 'model_revision': 'v9'})\n"
        "except UserError as error: print(error)\n"
        "else: print('accepted')"
    )
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as hub:
        threading.Thread(target=hub.serve_forever, daemon=True).start()
        settings = {
            "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}",
            "HF_HOME": str(tmp_path),
            "PYTHONPATH": ":".join(sys.path),
        }

        def ask(model: str, **overrides: str) -> str:
            command = [sys.executable, "-c", program, model]
            variables = os.environ | settings | overrides
            return subprocess.run(command, env=variables, check=True, capture_output=True, text=True).stdout.strip()

        yield ask
        hub.shutdown()


@pytest.mark.parametrize(
    ("model", "answer"),
    [
        (
            "nobody/model",
            "is not on the hub; correct the id, or set HF_TOKEN in spec.generators.env if it is private.",
        ),
        ("old/model", "has no revision 'v9'; correct spec.recipe.model_revision."),
        ("data/model", "has no config.json; name a transformers model."),
        ("a/b/c", "is neither a path nor an id on the hub; write organization/name."),
    ],
)
def test_a_model_that_the_hub_does_not_have(ask_hub: Callable[..., str], model: str, answer: str) -> None:
    assert ask_hub(model) == f"spec.recipe.model_name_or_path: {model!r} {answer}"


def test_a_hub_that_fails_is_no_mistake_of_the_user(ask_hub: Callable[..., str]) -> None:
    assert ask_hub("org/model") == "accepted"


@pytest.mark.parametrize("setting", [{"HF_ENDPOINT": "http://127.0.0.1:1"}, {"HF_HUB_OFFLINE": "1"}])
def test_nor_is_one_that_is_not_there(ask_hub: Callable[..., str], setting: dict[str, str]) -> None:
    assert ask_hub("org/model", **setting) == "accepted"


@pytest.mark.parametrize(
    ("program", "code", "message"),
    [
        ("raise KeyError('x')", 1, "vLLM ended with exit code 1; its last error: KeyError: 'x'"),
        ("raise SystemExit(7)", 7, "vLLM ended with exit code 7; its last error: none was logged"),
        ("print('bye')", 1, "vLLM ended with exit code 0; its last error: bye"),
        ("import os; os.kill(os.getpid(), 9)", 1, "vLLM was killed by SIGKILL; its last error: none was logged"),
    ],
)
def test_no_end_goes_unexplained(
    program: str, code: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(environment.TERMINATION_FILE, str(tmp_path / "termination"))
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        assert supervise([sys.executable, "-c", program], os.environ, grace_period_s=10) == code
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    failure = Failure.model_validate_json((tmp_path / "termination").read_text())
    assert failure == Failure(reason=PodReason.GENERATOR_ERROR, message=message)
