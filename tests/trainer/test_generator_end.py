"""How a real server that was asked to end, or lost its engine, comes to its end."""

import threading
from importlib.util import find_spec
from pathlib import Path

import requests

from grpo_generator.last_error import ENGINE_DIED
from grpo_generator.supervisor import GRACE_S
from harness.waiting import wait_for
from trainer.running_generator import RunningGenerator, requests_running, run_config

LONG = {"model": "policy", "prompt": [[5] * 50] * 8, "n": 128, "max_tokens": 400, "ignore_eos": True}
"""Far more work than can be done before the grace period is over."""
MARGIN_S = 10


def test_an_open_request_does_not_keep_a_generator_alive(tiny_model: Path, tmp_path: Path) -> None:
    """Without the supervisor vLLM waits for the connection, whose answer its ended engine will never write."""
    running = RunningGenerator(tmp_path, run_config({"model_name_or_path": str(tiny_model)}), "generator")
    try:
        running.wait_until_it_answers()
        outcome: list[object] = []
        asking = threading.Thread(target=lambda: outcome.append(ask(running)), daemon=True)
        asking.start()
        wait_for("the request is worked on", lambda: requests_running(running) > 0, timeout_s=30, interval_s=0.05)
        running.terminate()
        assert running.process.wait(GRACE_S + MARGIN_S) == 0
        asking.join(MARGIN_S)
        # Cut off, or told that the engine has ended: to the fleet both are a lost generator.
        (answer,) = outcome
        assert isinstance(answer, requests.ConnectionError) or getattr(answer, "status_code", 0) == 500, answer
        assert not running.termination_file.exists()
    finally:
        running.kill()


def ask(running: RunningGenerator) -> requests.Response | requests.RequestException:
    try:
        return requests.post(running.url + "/v1/completions", json=LONG, headers=running.authorization, timeout=300)
    except requests.RequestException as error:
        return error


def test_the_supervisor_knows_vllms_words_for_a_dead_engine() -> None:
    """Read where they stand: to import vLLM takes ten seconds."""
    vllm = find_spec("vllm")
    assert vllm is not None
    assert vllm.origin is not None
    assert ENGINE_DIED in Path(vllm.origin).with_name("v1").joinpath("engine", "exceptions.py").read_text()
