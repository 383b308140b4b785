"""`kubectl grpo logs -f`: pods that come later are followed as well, and whatever ends it ends all that it has started."""

import subprocess
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from grpo_cli.live import following
from grpo_cli.live.cluster import Cluster, ClusterError, Manifest, Started
from grpo_cli.live.following import follow_run
from grpo_cli.live.history import Line
from grpo_contract.labels import ATTEMPT_LABEL, ROLE_LABEL, Role

SAID = "2026-11-28T12:00:00Z hello\n"


def pod(attempt: int) -> Manifest:
    labels = {ATTEMPT_LABEL: str(attempt), ROLE_LABEL: Role.LEARNER.value}
    return {"metadata": {"name": f"math-learner-{attempt}-0", "labels": labels}}


def run_in(phase: str, attempt: int) -> Manifest:
    return {"metadata": {"name": "math"}, "status": {"phase": phase, "attempt": attempt}}


@dataclass(frozen=True)
class PlayedCluster(Cluster):
    """Of a run whose looks are given; of the last one there is no end."""

    looks: list[Manifest] = field(default_factory=list)
    hangs: bool = False
    """Its pods say something, and then nothing more."""
    processes: list[Any] = field(default_factory=list)

    def run(self, name: str) -> Manifest:
        look = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        if not look:
            raise ClusterError("the API server is away")
        return look

    def pods(self, run: Manifest) -> list[Manifest]:
        return [pod(attempt) for attempt in range(1, run["status"]["attempt"] + 1)]

    def follow(self, pod: Manifest, options: Sequence[str], tell: Callable[[str], None], started: Started) -> None:
        if not self.hangs:
            tell(SAID)
            return
        process = subprocess.Popen(["sleep", "600"], text=True)
        self.processes.append(process)
        started(process)
        tell(SAID)
        process.wait()
        raise ClusterError("killed")


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "LOOK_EVERY_S", 0.05)


def test_pods_of_the_next_attempt_are_followed_until_the_run_has_ended() -> None:
    running, next_one, over = run_in("Running", 1), run_in("Running", 2), run_in("Succeeded", 3)
    cluster = PlayedCluster(looks=[running, running, {}, next_one, {}, over])
    told: list[tuple[str, str]] = []
    assert follow_run(cluster, "math", None, (), lambda name, line: told.append((name, line.text))) == []
    assert told == [(f"math-learner-{attempt}-0", "hello") for attempt in (1, 2, 3)]


def test_a_run_that_is_not_there() -> None:
    with pytest.raises(ClusterError, match="is away"):
        follow_run(PlayedCluster(looks=[{}]), "math", None, (), lambda *_: None)


def test_where_nobody_reads_any_more_all_is_ended() -> None:
    cluster = PlayedCluster(looks=[run_in("Running", 1)], hangs=True)

    def broken(name: str, line: Line) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        follow_run(cluster, "math", None, (), broken)
    assert [process.wait(10) for process in cluster.processes] == [-9]


def test_an_interrupt_ends_all() -> None:
    cluster = PlayedCluster(looks=[run_in("Running", 2)], hangs=True)
    first = threading.Event()

    class Interrupted(PlayedCluster):
        def run(self, name: str) -> Manifest:
            if first.wait(0):
                raise KeyboardInterrupt
            return super().run(name)

    interrupted = Interrupted(looks=cluster.looks, hangs=True, processes=cluster.processes)
    with pytest.raises(KeyboardInterrupt):
        follow_run(interrupted, "math", None, (), lambda *_: first.set())
    assert len(cluster.processes) > 0
    assert {process.wait(10) for process in cluster.processes} == {-9}
