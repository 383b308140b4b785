"""How a real server that was asked to end, or lost its engine, comes to its end."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import requests

from grpo_contract.network import LEAVING_HEADER
from grpo_generator.last_error import ENGINE_DIED
from grpo_generator.supervisor import GRACE_S
from harness.waiting import wait_for
from trainer.running_generator import RunningGenerator, requests_running, run_config

LONG: dict[str, Any] = {"model": "policy", "prompt": [[5] * 50] * 8, "n": 128, "max_tokens": 400, "ignore_eos": True}
"""Far more work than can be done before the grace period is over."""
SHORT = LONG | {"prompt": [[5] * 50] * 2}
"""Some seconds of it."""
MARGIN_S = 10


def test_an_open_request_does_not_keep_a_generator_alive(tiny_model: Path, tmp_path: Path) -> None:
    """Without the supervisor vLLM waits for the connection, whose answer its ended engine will never write."""
    config, writes_s = run_config({"model_name_or_path": str(tiny_model)}), 2
    running = RunningGenerator(tmp_path, config, "generator", grace_period_s=writes_s + int(GRACE_S))
    try:
        running.wait_until_it_answers()
        outcome: list[object] = []
        asking = threading.Thread(target=lambda: outcome.append(ask(running)), daemon=True)
        asking.start()
        wait_for("the request is worked on", lambda: requests_running(running) > 0, timeout_s=30, interval_s=0.05)
        running.terminate()
        assert running.process.wait(writes_s + GRACE_S + MARGIN_S) == 0
        asking.join(MARGIN_S)
        # Cut off, or told that the engine has ended: to the fleet both are a lost generator.
        (answer,) = outcome
        assert isinstance(answer, requests.ConnectionError) or getattr(answer, "status_code", 0) == 500, answer
        assert not running.termination_file.exists()
    finally:
        running.kill()


def test_a_generator_that_is_asked_to_end_finishes_what_it_writes(tiny_model: Path, tmp_path: Path) -> None:
    """And takes nothing more. It ends long before its time is up."""
    running = RunningGenerator(tmp_path, run_config({"model_name_or_path": str(tiny_model)}), "generator")
    try:
        running.wait_until_it_answers()
        with ThreadPoolExecutor() as pool:
            begun = pool.submit(ask, running, SHORT)
            wait_for("the request is worked on", lambda: requests_running(running) > 0, timeout_s=30, interval_s=0.05)
            running.terminate()
            (refused,) = wait_for("a refusal", lambda: refusal_of(running), timeout_s=5, interval_s=0.05)
            assert LEAVING_HEADER in refused.headers
            assert refused.json()["error"]["message"] == "it is asked to end"
            assert not running.is_ready
            assert not begun.done()
            answer = begun.result()
        assert isinstance(answer, requests.Response), answer
        assert answer.status_code == 200
        assert [choice["finish_reason"] for choice in answer.json()["choices"]] == ["length"] * (2 * SHORT["n"])
        assert running.process.wait(MARGIN_S) == 0
        assert not running.termination_file.exists()
    finally:
        running.kill()


def test_a_generator_that_is_asked_to_end_before_there_is_a_server_ends_at_once(tmp_path: Path) -> None:
    """Process 1 of a pod ignores signals that it does not handle: it would start, and be killed 120 s later."""
    (tmp_path / "model").mkdir()
    os.mkfifo(tmp_path / "model" / "config.json")  # it looks there before it starts the server
    running = RunningGenerator(tmp_path, run_config({"model_name_or_path": str(tmp_path / "model")}), "generator")
    try:
        with (tmp_path / "model" / "config.json").open("w"):  # open when it reads
            running.terminate()
            assert running.process.wait(MARGIN_S) == 0
    finally:
        running.kill()


def refusal_of(running: RunningGenerator) -> list[requests.Response]:
    """Of a request that is wrong, and so is none to finish if it is taken. An answer with 503 would be false."""
    answer = ask(running, {})
    return [answer] if isinstance(answer, requests.Response) and answer.status_code == 503 else []


def ask(running: RunningGenerator, request: Any = LONG) -> requests.Response | requests.RequestException:
    try:
        return requests.post(running.url + "/v1/completions", json=request, headers=running.authorization, timeout=300)
    except requests.RequestException as error:
        return error


def test_the_supervisor_knows_vllms_words_for_a_dead_engine() -> None:
    """Read where they stand: to import vLLM takes ten seconds."""
    vllm = find_spec("vllm")
    assert vllm is not None
    assert vllm.origin is not None
    assert ENGINE_DIED in Path(vllm.origin).with_name("v1").joinpath("engine", "exceptions.py").read_text()
