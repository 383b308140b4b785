"""A run's life under an operator that is killed, or that the API server fails, again and again: it ends as if nothing had been."""

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.kubectl import Kubectl
from simulated.faulty_api import Asked, BadWatch, Fault, FaultyApi, Trouble, faulty_api
from simulated.kept_running import KeptRunning, kept_running
from simulated.runs import name_of_a_run
from simulated.story import go, live, remains

SEED = 20261127
SHARE = 0.1
FAULTS = (
    Fault(409),
    Fault(429, retry_after_s=1),
    Fault(500),
    Fault(500, is_done=True),
    Fault(503),
    Fault(),
    Fault(is_done=True),
)

WRITES = frozenset(
    {
        *("POST configmaps", "POST secrets", "POST persistentvolumeclaims", "POST jobs"),
        *("PATCH services", "PATCH networkpolicies", "PATCH deployments", "PATCH grporuns"),
        *("DELETE jobs", "DELETE deployments", "DELETE grporuns"),
    }
)
"""Of what the operator writes in a run's life. That it deletes a pod is no part of this one, and Events follow a status: who is killed
between the two tells of nothing."""


@pytest.fixture(scope="module")
def undisturbed(kubectl: Kubectl, kubeconfig: Path, folder: Path) -> dict[str, Any]:
    with name_of_a_run(kubectl) as name, kept_running(kubectl, kubeconfig, folder, "undisturbed", fullPassS=3600):
        live(kubectl, name)
        return remains(kubectl, name)


@pytest.fixture
def api(kubeconfig: Path, folder: Path) -> Iterator[tuple[FaultyApi, Path]]:
    with faulty_api(kubeconfig, folder) as api:
        yield api


@pytest.mark.parametrize("seed", [SEED, *(pytest.param(SEED + more, marks=pytest.mark.chaos) for more in range(1, 10))])
def test_one_request_in_ten_fails(
    kubectl: Kubectl, api: tuple[FaultyApi, Path], folder: Path, name: str, undisturbed: dict[str, Any], seed: int
) -> None:
    faulty, kubeconfig = api
    faulty.pick = unreliable(seed)
    with kept_running(kubectl, kubeconfig, folder, "unreliable", fullPassS=3600) as operator:
        live(kubectl, name)
    assert_as_if_nothing_had_been(kubectl, faulty, name, undisturbed)
    assert operator.ends == [], operator.log.read_text()[-4000:]
    hindered = Counter(_kind(asked) for asked in faulty.hindered)
    print(hindered)
    assert hindered["watch"] > 0
    assert hindered["write"] + hindered["read"] > 0


@pytest.mark.chaos
@pytest.mark.parametrize("late", ["pods", "jobs", ""], ids=["of pods", "of Jobs", "of everything"])
def test_news_are_late(
    kubectl: Kubectl, api: tuple[FaultyApi, Path], folder: Path, name: str, undisturbed: dict[str, Any], late: str
) -> None:
    """Later than what one watch is waited for when another has told more."""
    faulty, kubeconfig = api
    faulty.pick = lambda asked: BadWatch(late_s=8) if asked.is_watch and asked.path.endswith(late) else None
    with kept_running(kubectl, kubeconfig, folder, "late", fullPassS=3600):
        live(kubectl, name)
    assert_as_if_nothing_had_been(kubectl, faulty, name, undisturbed)


class Killer:
    """Kills each operator at its second write, before that is done, or at its first, when that is done."""

    def __init__(self, operator: KeptRunning, when_done: bool) -> None:
        self._operator, self._when_done = operator, when_done
        self._lives, self._is_used = -1, False
        self.killed_at: list[Asked] = []

    def pick(self, asked: Asked) -> Trouble:
        if not asked.is_write:
            return None
        if self._lives != len(self._operator.ends):
            self._lives, self._is_used = len(self._operator.ends), False
        if self._is_used:
            return self._kill(asked)
        self._is_used = True
        return None

    def done(self, asked: Asked) -> Trouble:
        return self._kill(asked) if self._when_done else None

    def _kill(self, asked: Asked) -> Fault:
        self._operator.kill()
        self.killed_at.append(asked)
        return Fault()


@pytest.mark.parametrize(
    "when_done",
    [pytest.param(True, id="after it"), pytest.param(False, id="before the next one", marks=pytest.mark.chaos)],
)
def test_the_operator_is_killed_at_each_write(
    kubectl: Kubectl,
    api: tuple[FaultyApi, Path],
    folder: Path,
    name: str,
    undisturbed: dict[str, Any],
    when_done: bool,
) -> None:
    faulty, kubeconfig = api
    with kept_running(kubectl, kubeconfig, folder, "killed", fullPassS=3600) as operator:
        killer = Killer(operator, when_done)
        faulty.pick, faulty.done = killer.pick, killer.done
        live(kubectl, name)
        assert_as_if_nothing_had_been(kubectl, faulty, name, undisturbed)
        go(kubectl, name)
    assert set(operator.ends) == {-9}, operator.log.read_text()[-4000:]
    # What an operator begins with is never the second of its writes.
    expected = WRITES if when_done else WRITES - {"POST persistentvolumeclaims"}
    assert expected - {asked.what for asked in killer.killed_at} == set()
    print(len(operator.ends), "operators were killed")


def unreliable(seed: int) -> Any:
    print(f"seed {seed}")
    dice = random.Random(seed)

    def pick(asked: Asked) -> Trouble:
        if "/leases" in asked.path:
            return None  # a leader that cannot renew its lease ends, and is started again: that is another test's
        if asked.is_watch:
            return BadWatch(late_s=dice.uniform(0, 2), ends_after_s=dice.uniform(1, 20), is_gone=dice.random() < SHARE)
        if dice.random() >= SHARE:
            return None
        return dice.choice(FAULTS if asked.method != "GET" else FAULTS[1:])

    return pick


def _kind(asked: Asked) -> str:
    if asked.is_watch:
        return "watch"
    return "write" if asked.is_write else "read"


def assert_as_if_nothing_had_been(kubectl: Kubectl, api: FaultyApi, name: str, undisturbed: dict[str, Any]) -> None:
    assert sorted(job for job in api.made("jobs") if job.startswith(name)) == [f"{name}-learner-{n}" for n in (1, 2, 3)]
    assert remains(kubectl, name) == undisturbed
