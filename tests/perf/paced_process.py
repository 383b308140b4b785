"""Paced servers in processes of their own, which end with this one at the latest."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import requests

from grpo_contract.network import GENERATOR_HEALTH_PATH, GENERATOR_PORT
from harness.waiting import wait_for
from perf.pacing import Pace

STARTED_S = 30


@contextmanager
def running_paced_server(host: str, pace: Pace, port: int = GENERATOR_PORT) -> Iterator[str]:
    """Its URL."""
    url = f"http://{host}:{port}"
    arguments = {
        "host": host,
        "port": port,
        "seconds-per-token": pace.seconds_per_token,
        "slots": pace.slots,
        "vocabulary": pace.vocabulary,
    }
    program = [sys.executable, "-m", "perf.paced_server"]
    process = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", *program, *(f"--{name}={value}" for name, value in arguments.items())]
    )

    def answers() -> bool:
        assert process.poll() is None, f"the paced server at {url} ended"
        try:
            return requests.get(url + GENERATOR_HEALTH_PATH, timeout=5).ok
        except requests.RequestException:
            return False

    try:
        wait_for(f"the paced server at {url}", answers, STARTED_S, 0.1)
        yield url
    finally:
        process.kill()
        process.wait()
