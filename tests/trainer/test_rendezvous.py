"""Ranks that come to learner 0. Other waits in vain are in test_learner_launch.py."""

import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from grpo_contract.environment import RENDEZVOUS
from grpo_trainer.rendezvous import _named
from harness.daemons import free_port
from harness.waiting import wait_for
from trainer.learner_pod import ONE_RANK

MEET = """
import sys
from grpo_contract.failure import RunFailure
from grpo_trainer.rendezvous import meeting
try:
    with meeting(float(sys.argv[1])):
        print("met", flush=True)
        sys.stdin.read()
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
        assert self.has_said_something(START_S), self.log.read_text()
        return self.process.stdout.readline().strip()

    def has_said_something(self, within_s: float) -> bool:
        assert self.process.stdout is not None
        return bool(select.select([self.process.stdout], [], [], within_s)[0])

    def wait_until_it_waits(self, rank: int, num_ranks: int) -> None:
        """At learner 0, for that one, and has for a while."""
        waits = f"learner {rank} (of {num_ranks}) did not come for 5 s"
        wait_for("a rank at learner 0", lambda: waits in self.log.read_text(), START_S)


Start = Callable[..., list[Rank]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Ranks from 0 on, each with whom it wants to meet."""
    ranks: list[Rank] = []

    def start_ranks(*whom: str, num_ranks: int = 2, pod_size: int = 1) -> list[Rank]:
        place = ONE_RANK | {"WORLD_SIZE": str(num_ranks), "MASTER_PORT": str(free_port())}
        place["LOCAL_WORLD_SIZE"] = str(pod_size)
        for rank, name in enumerate(whom):
            own = place | {"RANK": str(rank), RENDEZVOUS: name}
            ranks.append(Rank(tmp_path / f"rank{rank}.log", own, FOREVER_S))
        return ranks

    yield start_ranks
    for rank in ranks:
        with rank.process:
            rank.process.kill()


def test_ranks_of_one_attempt_meet(start: Start) -> None:
    assert [rank.said() for rank in start("uid-2", "uid-2")] == ["met", "met"]


@pytest.mark.parametrize("whom", ["uid-1", "another-2"])
def test_a_stranger_is_not_taken_for_one_of_the_attempt(whom: str, start: Start) -> None:
    """A pod that is left of an older attempt, or one of another run on the same node."""
    first, stranger = start("uid-2", whom)
    stranger.wait_until_it_waits(0, 2)
    first.wait_until_it_waits(1, 2)
    assert not first.has_said_something(2.0)


def test_learner_0_leaves_while_another_one_is_waited_for(start: Start) -> None:
    first, second = start("uid-1", "uid-1", num_ranks=3)
    second.wait_until_it_waits(2, 3)
    first.process.kill()
    assert (
        second.said()
        == '{"reason":"LearnerError","message":"learner 0 left before all learners had come: its log says why.",'
        '"follows":true}'
    )


def test_what_ended_rank_0_is_not_told_by_its_own_pods_other_ranks(start: Start) -> None:
    first, second = start("uid-1", "uid-1", num_ranks=4, pod_size=2)
    second.wait_until_it_waits(1, 2)
    first.process.kill()
    assert second.said() == ""
    assert second.process.wait(START_S) == 1


@pytest.mark.parametrize(
    ("ranks", "name"),
    [
        ([2, 3], "learner 1 (of 3)"),
        ([2, 3, 4, 5], "learner 1, 2 (of 3)"),
        ([3], "learner process 3 (of 6)"),
        ([1, 2, 3], "learner process 1, 2, 3 (of 6)"),
    ],
)
def test_pods_are_named_where_no_rank_of_theirs_has_come(ranks: list[int], name: str) -> None:
    assert _named(ranks, 6, 2) == name
