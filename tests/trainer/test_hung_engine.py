"""vLLM's server answers for its engine, which is a process of its own: one that hangs is told by /health, as the kubelet asks."""

import os
import signal
from pathlib import Path

import requests

from grpo_contract.network import GENERATOR_HEALTH_PATH
from grpo_generator.pulse import SILENT_S
from harness.waiting import wait_for
from trainer.running_generator import RunningGenerator


def health(generator: RunningGenerator) -> int:
    return requests.get(generator.url + GENERATOR_HEALTH_PATH, timeout=5).status_code


def engine_of(generator: RunningGenerator) -> int:
    """Its process, which vLLM gives a title, and the generator's group its session."""
    session = os.getsid(generator.process.pid)
    (engine,) = [
        int(folder.name)
        for folder in Path("/proc").glob("[0-9]*")
        if b"EngineCore" in (folder / "cmdline").read_bytes() and os.getsid(int(folder.name)) == session
    ]
    return engine


def test_an_engine_that_hangs(generator: RunningGenerator) -> None:
    assert health(generator) == 200
    engine = engine_of(generator)
    os.kill(engine, signal.SIGSTOP)
    try:
        wait_for("health that tells of it", lambda: health(generator) == 503, SILENT_S + 15)
    finally:
        os.kill(engine, signal.SIGCONT)
    wait_for("health that is good again", lambda: health(generator) == 200, 15)
