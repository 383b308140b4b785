"""A generator as its pod would run it: `python -m grpo_generator` with real vLLM on CPU."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests

import grpo_generator
from grpo_contract import environment
from grpo_contract.config import CheckpointConfig, GeneratorConfig, LearnerConfig, RunConfig
from grpo_contract.grace import GENERATOR_GRACE_PERIOD_S
from grpo_contract.network import GENERATOR_HEALTH_PATH, GENERATOR_READY_PATH, METRICS_PATH
from harness.daemons import free_port
from harness.waiting import wait_for
from trainer import contained
from trainer.contained import CONTAINED

TOKEN = "token-of-the-run"
START_S = 420
"""Under load vLLM takes minutes to start."""


def run_config(recipe: Mapping[str, Any], tensor_parallel_size: int = 1) -> RunConfig:
    return RunConfig(
        name="test",
        uid="11111111-2222-3333-4444-555555555555",
        recipe=dict(recipe),
        learners=LearnerConfig(pods=1, processes_per_pod=1, device="cpu", rendezvous_host="localhost"),
        generators=GeneratorConfig(service="localhost", tensor_parallel_size=tensor_parallel_size, device="cpu"),
        checkpoint=CheckpointConfig(every_steps=10, keep=2),
    )


class RunningGenerator:
    def __init__(
        self, folder: Path, config: RunConfig, name: str, grace_period_s: int = GENERATOR_GRACE_PERIOD_S
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.name = name
        self.token_file = folder / "token"
        self.termination_file = folder / f"{name}-termination.json"
        self.log = folder / f"{name}.log"
        (folder / "run.json").write_text(config.model_dump_json())
        self.token_file.write_text(TOKEN + "\n")
        command = [*CONTAINED, sys.executable, "-m", "grpo_generator", f"--config={folder / 'run.json'}"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, f"--port={self.port}"],
                env=os.environ
                | {
                    "PYTHONPATH": str(Path(grpo_generator.__file__).parents[1]),  # of all processes that vLLM spawns
                    environment.POD_NAME: name,
                    environment.GRACE_PERIOD: str(grace_period_s),
                    environment.TOKEN_FILE: str(self.token_file),
                    environment.TERMINATION_FILE: str(self.termination_file),
                },
                stdout=log,
                stderr=log,
                start_new_session=True,  # one group to stop: the supervisor, the server and its workers
            )

    def wait_until_it_answers(self) -> None:
        wait_for(f"{self.name} answers", self._answers, START_S)

    def _answers(self) -> bool:
        assert self.process.poll() is None, f"{self.name} ended:\n{self.log.read_text()[-3000:]}"
        try:
            return requests.get(self.url + GENERATOR_HEALTH_PATH, timeout=5).ok
        except requests.RequestException:
            return False

    @property
    def is_ready(self) -> bool:
        """As the kubelet asks, without the token."""
        return requests.get(self.url + GENERATOR_READY_PATH, timeout=10).status_code == 200

    def get(self, path: str) -> requests.Response:
        return requests.get(self.url + path, headers=self.authorization, timeout=30)

    def post(self, path: str, body: Any = None) -> requests.Response:
        return requests.post(self.url + path, json=body or {}, headers=self.authorization, timeout=60)

    @property
    def token(self) -> str:
        return self.token_file.read_text().strip()

    @property
    def authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def terminate(self) -> None:
        contained.terminate(self.process)

    def kill(self) -> None:
        """As `kill -9` of each of its processes: nothing is said, nothing is finished."""
        contained.kill(self.process)


def requests_running(generator: RunningGenerator) -> float:
    lines = requests.get(generator.url + METRICS_PATH, timeout=10).text.splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith("vllm:num_requests_running"))
