"""Ranks of a learner pod that runs another program than the launcher's worker: `python -m trainer.ranks NUM PROGRAM [ARGUMENT...]`."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from grpo_contract.config import LearnerConfig
from grpo_trainer.end_of_pod import EndOfPod
from grpo_trainer.end_request import EndRequest
from grpo_trainer.launch import wait_for
from grpo_trainer.workers import places_of, started
from harness.daemons import free_port

TWO_RANKS: Final = ("-m", "trainer.ranks", "2")
"""Before a program and its arguments."""
RUN_S: Final = 300


def run_two_ranks(program: str, *arguments: str, env: dict[str, str] | None = None) -> None:
    """Of a program that lies beside this one."""
    subprocess.run(
        [sys.executable, *TWO_RANKS, str(Path(__file__).with_name(program)), *arguments],
        env=os.environ | {"PYTHONPATH": ":".join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"} | (env or {}),
        check=True,
        timeout=RUN_S,
    )


def main(number: str, *program: str) -> None:
    learners = LearnerConfig(pods=1, processes_per_pod=int(number), device="cpu", rendezvous_host="localhost")
    port = {"MASTER_PORT": str(free_port())}
    with started(program, [place | port for place in places_of(learners, pod=0)]) as workers:
        wait_for(workers, EndOfPod(EndRequest(None)))


if __name__ == "__main__":
    main(*sys.argv[1:])
