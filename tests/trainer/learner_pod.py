"""A learner pod without a cluster: the launcher in namespaces of its own, where /volume is a folder of the test's and process
1 is the launcher.

With `alone`, the network is its own as well: its ports are taken by nobody, and nobody reaches them.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from grpo_contract import environment
from grpo_contract.config import RunConfig
from grpo_contract.files import VOLUME
from harness.daemons import free_port
from harness.layout import TESTS, TRAINER_IMAGE
from trainer import contained
from trainer.contained import CONTAINED
from trainer.running_generator import TOKEN

WITH_TESTS = f"{TRAINER_IMAGE}:{TESTS}"
"""PYTHONPATH of a program of these tests."""
ONE_RANK = {
    "WORLD_SIZE": "1",
    "RANK": "0",
    "LOCAL_RANK": "0",
    "LOCAL_WORLD_SIZE": "1",
    "MASTER_ADDR": "127.0.0.1",
    "MASTER_PORT": "29500",
}
"""What the launcher would tell a program that takes the place of its worker."""
MOUNT_POINT = Path(VOLUME)
LAUNCHER = ("-m", "grpo_trainer")
BIND = f'mount --bind "$1" {VOLUME} && shift && exec "$@"'


class LearnerPod:
    """Writes what the operator would mount into `folder`, and starts at once."""

    def __init__(
        self,
        folder: Path,
        config: RunConfig,
        *,
        program: Sequence[str] = LAUNCHER,
        arguments: Sequence[str] = (),
        alone: bool = True,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.volume = folder / "volume"
        self.log = folder / "learner.log"
        self.termination_file = folder / "termination-log"
        self.volume.mkdir(parents=True, exist_ok=True)
        self.termination_file.write_text("")
        (folder / "run.json").write_text(config.model_dump_json())
        (folder / "token").write_text(TOKEN)
        MOUNT_POINT.mkdir(exist_ok=True)
        namespaces = [*CONTAINED, "--mount", "--propagation", "private", *(["--net"] if alone else [])]
        script = f"{'ip link set lo up && ' if alone else ''}{BIND}"
        command = [sys.executable, *program, str(folder / "run.json"), *arguments]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*namespaces, "sh", "-c", script, "sh", str(self.volume), *command],
                env=os.environ
                | {
                    environment.TOKEN_FILE: str(folder / "token"),
                    environment.TERMINATION_FILE: str(self.termination_file),
                    environment.POD_IP: "127.0.0.1",
                    "PYTHONPATH": str(TRAINER_IMAGE),
                    "HF_HOME": str(folder / "hub"),
                    "HF_HUB_OFFLINE": "1",
                    "GLOO_SOCKET_IFNAME": "lo",
                    "OMP_NUM_THREADS": "1",
                    **(env or {}),
                },
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait(self, timeout_s: float) -> int:
        """The exit code."""
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the learner did not end within {timeout_s} s:\n{self.tail()}") from None

    def tail(self) -> str:
        return self.log.read_text()[-4000:]

    def terminate(self) -> None:
        self.terminated_at = time.monotonic()
        contained.terminate(self.process)

    def stop(self) -> None:
        contained.stop(self.process)

    def kill(self) -> None:
        contained.kill(self.process)


@contextmanager
def two_pods(folder: Path, config: RunConfig, program: Path, *arguments: str) -> Iterator[list[LearnerPod]]:
    """Of one rank each, which runs `program` instead of the launcher."""
    place = ONE_RANK | {"WORLD_SIZE": "2", "MASTER_PORT": str(free_port())}
    ranks = [
        LearnerPod(
            folder / str(rank),
            config,
            program=[str(program)],
            arguments=arguments,
            alone=False,
            env=place | {"RANK": str(rank), "PYTHONPATH": WITH_TESTS},
        )
        for rank in (0, 1)
    ]
    try:
        yield ranks
    finally:
        for rank in ranks:
            rank.kill()
