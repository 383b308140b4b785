"""Ranks that come to learner 0. Other waits in vain are in test_learner_launch.py."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from grpo_contract.environment import ATTEMPT
from harness.daemons import free_port
from harness.waiting import wait_for
from trainer.learner_pod import ONE_RANK

MEET = """
import sys
from grpo_contract.failure import RunFailure
from grpo_trainer.rendezvous import meet
try:
    meet(float(sys.argv[1]))
    print("met", flush=True)
except RunFailure as error:
    print(error.failure.to_json(), flush=True)
sys.stdin.read()
"""
"""Stays when it has said how it went, as rank 0 does for the others."""
START_S = 120
FOREVER_S = 1000


class Rank:
    def __init__(self, log: Path, place: dict[str, str], within_s: float) -> None:
        self.log = log
        command = [sys.executable, "-c", MEET, str(within_s)]
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                command, env=os.environ | place, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file, text=True
            )

    def said(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


Start = Callable[..., list[Rank]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Ranks from 0 on, each of the attempt that it takes to be the current one."""
    ranks: list[Rank] = []

    def start_ranks(*attempts: str, within_s: float, num_ranks: int = 2) -> list[Rank]:
        place = ONE_RANK | {"WORLD_SIZE": str(num_ranks), "MASTER_PORT": str(free_port())}
        for rank, attempt in enumerate(attempts):
            own = place | {"RANK": str(rank), ATTEMPT: attempt}
            ranks.append(Rank(tmp_path / f"rank{rank}.log", own, within_s))
        return ranks

    yield start_ranks
    for rank in ranks:
        with rank.process:
            rank.process.kill()


def test_ranks_of_one_attempt_meet(start: Start) -> None:
    assert [rank.said() for rank in start("2", "2", within_s=START_S)] == ["met", "met"]


def test_one_of_an_older_attempt_is_not_taken_for_one_of_this(start: Start) -> None:
    first, older = start("2", "1", within_s=5)
    assert first.said() == (
        '{"reason":"RendezvousTimeout","message":"learner 1 (of 2) did not come for 5 s: look for learner pods that are pending or '
        'failed."}'
    )
    assert older.said() != "met"


def test_learner_0_leaves_while_another_one_is_waited_for(start: Start) -> None:
    first, second = start("1", "1", within_s=FOREVER_S, num_ranks=3)
    waits = "learner 2 (of 3) did not come for 5 s"
    wait_for("rank 1 at learner 0", lambda: waits in second.log.read_text(), START_S)
    first.process.kill()
    assert (
        second.said()
        == '{"reason":"LearnerError","message":"learner 0 left before all learners had come: its log says why.",'
        '"follows":true}'
    )
