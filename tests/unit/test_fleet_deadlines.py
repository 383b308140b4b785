"""Everything the fleet waits for ends, in a named reason. Generators that misbehave are played here; real ones are in
tests/trainer."""

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from grpo_contract.config import Deadlines
from grpo_contract.failure import PodReason
from grpo_trainer.fleet import generator as generator_module
from grpo_trainer.fleet import roster as roster_module
from grpo_trainer.fleet.background import in_background
from grpo_trainer.fleet.completion import Completion
from grpo_trainer.fleet.errors import GeneratorLost, GeneratorsLost
from grpo_trainer.fleet.fleet import MOST_SENDS, Fleet
from grpo_trainer.fleet.generator import Generator
from grpo_trainer.fleet.observer import GeneratorState
from grpo_trainer.fleet.roster import Roster
from grpo_trainer.fleet.update import Update, WeightSource
from grpo_trainer.fleet.weights import WeightServer
from harness.daemons import address_of_nobody
from harness.waiting import wait_for
from trainer.collecting import are_there, collect
from trainer.recording_observer import RecordingObserver

GENERATORS_S = 1.0
SLACK_S = 3.0
"""For a machine with other work on it; far below any deadline that a hang would run into."""


class FixedDiscovery:
    def __init__(self, *urls: str) -> None:
        self.found = list(urls)

    def urls(self) -> list[str]:
        return self.found


class PlayedGenerator(Generator):
    """Takes weights as it should; `on_complete` is how it completes."""

    def __init__(self, url: str, on_complete: Callable[[], None]) -> None:
        super().__init__(url, lambda: "token", Deadlines())
        self.on_complete = on_complete
        self.updates = 0

    def holds(self, version: str) -> bool:
        return self.held_version == version

    def update(self, weights: WeightSource) -> Update:
        self.updates += 1
        self.held_version = weights.version
        return Update(weights.version, 0.2, 0.1, 0)

    def complete(
        self, prompts: Sequence[list[int]], num_generations: int, sampling: Mapping[str, Any], version: str
    ) -> list[list[Completion]]:
        self.on_complete()
        return [[Completion(prompt, [0.0] * len(prompt))] * num_generations for prompt in prompts]


def lose() -> None:
    raise GeneratorLost("the engine died")


@pytest.fixture(autouse=True)
def _ask_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roster_module, "RETRY_S", (0.02,))
    monkeypatch.setattr(roster_module, "LOOKUP_INTERVAL_S", 0.0)


@pytest.fixture
def weights() -> Iterator[WeightServer]:
    server = WeightServer("127.0.0.1", 0, deadline_s=1)
    server.publish([])
    yield server
    server.close()


def fleet_of(weights: WeightServer, connect: Callable[[str], Generator], *urls: str) -> tuple[Fleet, RecordingObserver]:
    observer = RecordingObserver()
    return Fleet(Roster(FixedDiscovery(*urls), weights, connect, observer), observer, GENERATORS_S), observer


def test_without_any_generator_the_run_ends_at_the_deadline(weights: WeightServer) -> None:
    fleet, _ = fleet_of(weights, lambda url: PlayedGenerator(url, lose))
    started = time.monotonic()
    with pytest.raises(GeneratorsLost) as lost:
        collect(fleet, fleet.submit([[1]], 2, {}))
    assert GENERATORS_S <= time.monotonic() - started < GENERATORS_S + SLACK_S
    assert lost.value.failure.reason == PodReason.GENERATORS_LOST
    assert str(lost.value) == (
        "no generator was there for 1 s (no generator has an address); look at the run's condition GeneratorsReady and at the "
        "generators' logs."
    )


def test_the_reason_names_each_generator_and_its_last_error(weights: WeightServer) -> None:
    def connect(url: str) -> Generator:
        return Generator(url, lambda: "token", Deadlines(control_s=0.2))

    fleet, observer = fleet_of(weights, connect, "http://127.0.0.1:1")
    with pytest.raises(GeneratorsLost, match=r"127\.0\.0\.1:1: /weight_info: .*Connection refused"):
        collect(fleet, fleet.submit([[1]], 2, {}))
    assert observer.latest == {"127.0.0.1:1": GeneratorState.LOST}


def test_an_address_at_which_nobody_is_any_more_is_lost_sooner_than_a_server_that_is_slow(
    weights: WeightServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generator_module, "CONNECT_S", 0.3)
    with address_of_nobody() as (host, port):
        gone = Generator(f"http://{host}:{port}", lambda: "token", Deadlines())
        started = time.monotonic()
        with pytest.raises(GeneratorLost, match=r"/weight_info: .*[Tt]imed out"):
            gone.holds(weights.version)
        assert time.monotonic() - started < SLACK_S


def test_a_server_that_accepts_and_never_answers_is_lost_after_the_control_deadline(weights: WeightServer) -> None:
    def connect(url: str) -> Generator:
        return Generator(url, lambda: "token", Deadlines(control_s=0.2))

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        started = time.monotonic()
        with pytest.raises(GeneratorLost, match=r"/weight_info: .*[Tt]imed out"):
            connect(url).holds(weights.version)
        assert 0.2 <= time.monotonic() - started < SLACK_S
        fleet, _ = fleet_of(weights, connect, url)
        with pytest.raises(GeneratorsLost, match="timed out"):
            collect(fleet, fleet.submit([[1]], 2, {}))


def test_a_group_that_fails_wherever_it_goes_ends_the_run(weights: WeightServer) -> None:
    fleet, observer = fleet_of(weights, lambda url: PlayedGenerator(url, lose), "http://a", "http://b")
    with pytest.raises(GeneratorsLost) as lost:
        collect(fleet, fleet.submit([[1, 2, 3]], 2, {}))
    assert str(lost.value) == (
        "a prompt of 3 tokens was sent to a generator 5 times, and each time it failed (a: the engine died; b: the engine "
        "died); look at the generators' logs, and take the prompt out of the data set if it is what ends them."
    )
    assert observer.groups_failed_over == MOST_SENDS


class Mortal(PlayedGenerator):
    """Answers nothing while it is dead."""

    def __init__(self, url: str) -> None:
        super().__init__(url, lambda: None)
        self.is_dead, self.times_missed = False, 0

    def holds(self, version: str) -> bool:
        self._be_there()
        return super().holds(version)

    def update(self, weights: WeightSource) -> Update:
        self._be_there()
        return super().update(weights)

    def _be_there(self) -> None:
        if self.is_dead:
            self.forget_version()
            self.times_missed += 1
            raise GeneratorLost("refused")


def test_a_prompt_that_no_generator_has_seen_is_not_what_ends_them(
    weights: WeightServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of many die while they have nothing to write: each looks well until it is asked."""
    monkeypatch.setattr(roster_module, "RETRY_S", (0.2,))
    generators = {f"http://{number}": Mortal(f"http://{number}") for number in range(MOST_SENDS + 1)}
    observer = RecordingObserver()
    roster = Roster(FixedDiscovery(*generators), weights, lambda url: generators[url], observer)
    fleet = Fleet(roster, observer, generators_s=10)
    fleet.submit([], 1, {})
    wait_for("all belong to the fleet", lambda: len(observer.synced_bytes) == len(generators), 5, 0.01)
    for generator in generators.values():
        generator.is_dead = True
    collecting = in_background(lambda: collect(fleet, fleet.submit([[1]], 2, {})))
    wait_for("all were missed", lambda: all(each.times_missed > 0 for each in generators.values()), 5, 0.01)
    for generator in generators.values():
        generator.is_dead = False
    ((first, second),) = collecting.result(5)
    assert first.token_ids == second.token_ids == [1]


SIX_PROMPTS = [[number] for number in range(6)]


def two_generators(weights: WeightServer, how_b_completes: Callable[[], None]) -> tuple[Fleet, RecordingObserver]:
    """In sync; three of six groups are for b."""
    answers = {"http://a": lambda: None, "http://b": how_b_completes}
    fleet, observer = fleet_of(weights, lambda url: PlayedGenerator(url, answers[url]), "http://a", "http://b")
    fleet.submit([], 1, {})
    wait_for("both belong to the fleet", lambda: len(observer.synced_bytes) == 2, timeout_s=5, interval_s=0.01)
    return fleet, observer


def collect_six(fleet: Fleet) -> None:
    groups = collect(fleet, fleet.submit(SIX_PROMPTS, 2, {}))
    assert [[completion.token_ids for completion in group] for group in groups] == [[p] * 2 for p in SIX_PROMPTS]


@pytest.mark.parametrize("num_finished", [0, 1, 2])
def test_groups_of_a_lost_generator_go_elsewhere_and_finished_ones_are_kept(
    weights: WeightServer, monkeypatch: pytest.MonkeyPatch, num_finished: int
) -> None:
    monkeypatch.setattr(roster_module, "RETRY_S", (60.0,))
    order = iter(range(3))

    def finish_some() -> None:
        if next(order) >= num_finished:
            lose()

    fleet, observer = two_generators(weights, finish_some)
    collect_six(fleet)
    assert observer.completions == Counter({"a": 12 - 2 * num_finished, "b": 2 * num_finished})
    assert observer.groups_failed_over == 3 - num_finished


def test_a_request_is_told_of_while_it_is_under_way_however_it_ends(weights: WeightServer) -> None:
    under_way: list[int] = []

    def look_and_lose() -> None:
        under_way.append(observer.under_way)
        if len(under_way) == 1:
            lose()

    fleet, observer = fleet_of(weights, lambda url: PlayedGenerator(url, look_and_lose), "http://a")
    collect(fleet, fleet.submit([[1]], 2, {}))
    assert (under_way, observer.under_way) == ([1, 1], 0)


def test_a_generator_that_is_lost_in_many_requests_is_lost_once(
    weights: WeightServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(roster_module, "RETRY_S", (0.02, 60.0))
    together = threading.Barrier(3)

    def lose_together() -> None:
        together.wait(timeout=5)
        lose()

    fleet, observer = two_generators(weights, lose_together)
    collect_six(fleet)

    def is_back() -> bool:
        fleet.submit([], 1, {})  # looks around
        return observer.latest["b"] == GeneratorState.IN_SYNC

    wait_for("it is asked again soon, as after one failure", is_back, timeout_s=5, interval_s=0.01)
    told = [record.getMessage() for record in caplog.records if record.name == "grpo_trainer.fleet.roster"]
    assert told == ["generator b cannot be used: the engine died"]
    assert observer.groups_failed_over == 3


def test_a_generator_that_starts_is_asked_again_every_second(
    weights: WeightServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is there as soon as its port is open, and that it was closed for long makes no pause longer."""
    monkeypatch.setattr(roster_module, "RETRY_S", (0.02, 0.02, 60.0))
    monkeypatch.setattr(roster_module, "DOWN_RETRY_S", 0.01)
    down = GeneratorLost("refused", is_down=True)
    failures = iter([*[down] * 9, GeneratorLost("500"), *[down] * 9])

    def start() -> None:
        if failure := next(failures, None):
            raise failure

    class Starting(PlayedGenerator):
        def holds(self, version: str) -> bool:
            start()
            return super().holds(version)

    fleet, observer = fleet_of(weights, lambda url: Starting(url, lambda: None), "a")

    def is_there() -> bool:
        fleet.submit([], 1, {})  # looks around
        return observer.latest["a"] == GeneratorState.IN_SYNC

    wait_for("it has started", is_there, timeout_s=5, interval_s=0.01)


def test_a_request_that_fails_late_takes_nothing_from_a_generator_that_is_back(weights: WeightServer) -> None:
    order, is_back = iter(range(6)), threading.Event()

    def fail_first_and_last() -> None:
        number = next(order)
        if number == 0:
            lose()
        if number == 1:
            assert is_back.wait(timeout=5)
            lose()

    fleet, observer = two_generators(weights, fail_first_and_last)
    tickets = fleet.submit(SIX_PROMPTS, 2, {})

    def is_lost() -> bool:
        fleet.wait(tickets, 0.01)
        return observer.groups_failed_over == 1

    wait_for("it is lost", is_lost, timeout_s=5)

    def is_in_sync() -> bool:
        fleet.submit([], 1, {})
        return len(observer.synced_bytes["b"]) == 2

    wait_for("it is back", is_in_sync, timeout_s=5, interval_s=0.01)
    is_back.set()
    assert len(collect(fleet, tickets)) == 6
    assert observer.groups_failed_over == 2
    assert len(observer.synced_bytes["b"]) == 2
    fleet.submit([], 1, {})
    assert observer.latest["b"] == GeneratorState.IN_SYNC


@pytest.mark.parametrize(
    ("num_prompts", "sizes"), [(0, []), (1, [1]), (3, [1] * 3), (32, [1] * 32), (40, [2] * 8 + [1] * 24)]
)
def test_a_generator_gets_its_share_in_requests_of_few_groups(
    weights: WeightServer, num_prompts: int, sizes: list[int]
) -> None:
    requests: list[int] = []

    class Counting(PlayedGenerator):
        def complete(self, prompts: Sequence[list[int]], *arguments: Any) -> list[list[Completion]]:
            requests.append(len(prompts))
            return super().complete(prompts, *arguments)

    fleet, _ = fleet_of(weights, lambda url: Counting(url, lambda: None), "http://a")
    collect(fleet, fleet.submit([[1]], 1, {}))
    requests.clear()
    collect(fleet, fleet.submit([[number] for number in range(num_prompts)], 1, {}))
    assert sorted(requests, reverse=True) == sizes


def test_the_time_without_generators_starts_anew_when_one_was_there(weights: WeightServer) -> None:
    discovery, observer = FixedDiscovery(), RecordingObserver()
    roster = Roster(discovery, weights, lambda url: PlayedGenerator(url, lambda: None), observer)
    fleet = Fleet(roster, observer, GENERATORS_S)
    for _ in range(3):  # away for longer than the deadline, but not in one go
        discovery.found = []
        tickets = fleet.submit([[1]], 1, {})
        fleet.wait(tickets, GENERATORS_S * 0.4)
        assert not are_there(tickets)
        discovery.found = ["http://a"]
        assert len(collect(fleet, tickets)) == 1


class Slow(PlayedGenerator):
    """Gets each version a moment after it was published."""

    def update(self, weights: WeightSource) -> Update:
        time.sleep(0.05)
        return super().update(weights)


def test_waits_for_newer_weights_do_not_add_up(weights: WeightServer) -> None:
    """Each batch finds nobody with its weights, for a moment; together they take longer than the deadline."""
    fleet, _ = fleet_of(weights, lambda url: Slow(url, lambda: None), "http://a")
    started = time.monotonic()
    while time.monotonic() - started < 2 * GENERATORS_S:
        weights.publish([])
        assert len(collect(fleet, fleet.submit([[1]], 1, {}))) == 1


def test_a_wait_at_the_start_is_no_part_of_one_later(weights: WeightServer) -> None:
    discovery, observer = FixedDiscovery(), RecordingObserver()
    roster = Roster(discovery, weights, lambda url: PlayedGenerator(url, lambda: None), observer)
    fleet = Fleet(roster, observer, GENERATORS_S)
    tickets = fleet.submit([[1]], 1, {})
    fleet.wait(tickets, GENERATORS_S * 0.4)
    discovery.found = ["http://a"]
    assert len(collect(fleet, tickets)) == 1
    time.sleep(GENERATORS_S)
    discovery.found = []
    started = time.monotonic()
    with pytest.raises(GeneratorsLost, match="no generator was there for 1 s"):
        collect(fleet, fleet.submit([[1]], 1, {}))
    assert time.monotonic() - started >= GENERATORS_S


def test_what_was_abandoned_is_no_longer_waited_for(weights: WeightServer) -> None:
    fleet, _ = fleet_of(weights, lambda url: PlayedGenerator(url, lose))
    tickets = fleet.submit([[1]], 1, {})
    fleet.wait(tickets, GENERATORS_S * 0.4)
    fleet.abandon(tickets)
    time.sleep(GENERATORS_S)
    started = time.monotonic()
    with pytest.raises(GeneratorsLost, match="no generator was there for 1 s"):
        collect(fleet, fleet.submit([[1]], 1, {}))
    assert time.monotonic() - started >= GENERATORS_S


def test_waiting_ends_empty_handed_at_its_time_out(weights: WeightServer) -> None:
    answers = threading.Event()

    def wait_for_answers() -> None:
        answers.wait(SLACK_S)

    fleet, _ = fleet_of(weights, lambda url: PlayedGenerator(url, wait_for_answers), "http://a")
    tickets = fleet.submit([[1]], 1, {})
    started = time.monotonic()
    fleet.wait(tickets, 0.3)
    assert not are_there(tickets)
    assert time.monotonic() - started >= 0.3
    answers.set()
    assert len(collect(fleet, tickets)) == 1


class Hanging(PlayedGenerator):
    """It has weights, but older ones than the learner's: others were published while it fetched them. Then it hangs."""

    def __init__(self, url: str) -> None:
        super().__init__(url, lambda: None)
        self.gives_up = threading.Event()

    def update(self, weights: WeightSource) -> Update:
        self.updates += 1
        if self.updates == 1:
            self.held_version = "older-0"
            return Update("older-0", 0.2, 0.1, 0)
        assert self.gives_up.wait(timeout=5)
        self.held_version = None
        raise GeneratorLost("/update_weights: timed out")


def test_a_generator_that_hangs_is_waited_for_once_in_a_sync(
    weights: WeightServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roster_module, "RETRY_S", (60.0,))
    hanging = Hanging("http://a")
    fleet, observer = fleet_of(weights, lambda url: hanging, "http://a")

    def has_begun_to_hang() -> bool:
        fleet.submit([], 1, {})  # looks around
        return hanging.updates == 2

    wait_for("it hangs", has_begun_to_hang, timeout_s=5, interval_s=0.01)
    weights.publish([])
    threading.Timer(0.2, hanging.gives_up.set).start()
    fleet.sync()
    assert hanging.gives_up.is_set()
    assert hanging.updates == 2
    assert observer.latest == {"a": GeneratorState.LOST}


class Fetching(PlayedGenerator):
    """It has weights, and others take their time to come to it."""

    def __init__(self, url: str) -> None:
        super().__init__(url, lambda: None)
        self.have_come = threading.Event()

    def update(self, weights: WeightSource) -> Update:
        assert self.held_version is None or self.have_come.wait(timeout=5)
        return super().update(weights)


def test_a_generator_can_be_asked_while_new_weights_come_to_it(weights: WeightServer) -> None:
    fetching, observer = Fetching("http://a"), RecordingObserver()
    roster = Roster(FixedDiscovery("http://a"), weights, lambda url: fetching, observer)
    roster.look_around()
    wait_for("its first weights", lambda: roster.holding(1), timeout_s=5, interval_s=0.01)
    (member,) = roster.holding(1)
    old = weights.version
    weights.publish([])
    roster.look_around()
    assert in_background(roster.hold, member, 1).result(timeout=5).version == old
    newer = in_background(roster.hold, member, 2)
    assert member.is_busy
    fetching.have_come.set()
    assert newer.result(timeout=5).version == weights.version
    assert fetching.updates == 2  # one of them is for both who wanted it


def test_a_generator_is_in_sync_while_training_takes_what_it_writes(weights: WeightServer) -> None:
    """Though evaluations have had weights of their own since then."""
    fetching, observer, oldest_taken = Fetching("http://a"), RecordingObserver(), 1
    roster = Roster(FixedDiscovery("http://a"), weights, lambda url: fetching, observer, lambda: oldest_taken)
    roster.look_around()
    wait_for("its first weights", lambda: roster.holding(1), timeout_s=5, interval_s=0.01)
    for _ in range(2):
        weights.publish([])
    roster.look_around()
    assert observer.latest == {"a": GeneratorState.IN_SYNC}
    oldest_taken = 2
    roster.look_around()
    assert observer.latest == {"a": GeneratorState.READY}
    fetching.have_come.set()


class Late(PlayedGenerator):
    """Its first weights come, and its completions are written, when somebody lets them."""

    def __init__(self, url: str) -> None:
        super().__init__(url, lambda: None)
        self.have_come, self.is_known = threading.Event(), threading.Event()

    def update(self, weights: WeightSource) -> Update:
        assert self.have_come.wait(timeout=5)
        return super().update(weights)

    def complete(self, *args: Any) -> list[list[Completion]]:
        assert self.is_known.wait(timeout=5)
        return super().complete(*args)


def test_it_is_told_at_once_that_a_generator_is_there(weights: WeightServer) -> None:
    """And not when completions are asked for again: until then the run would be said to wait for generators."""
    late = Late("http://a")
    fleet, observer = fleet_of(weights, lambda url: late, "http://a")
    tickets = fleet.submit([[1]], 2, {})
    assert observer.latest == {"a": GeneratorState.LOST}
    late.have_come.set()

    def is_known() -> bool:
        fleet.wait(tickets, 0.01)
        return observer.latest == {"a": GeneratorState.IN_SYNC}

    wait_for("that it is there", is_known, timeout_s=5, interval_s=0)
    assert not are_there(tickets)
    late.is_known.set()
    collect(fleet, tickets)


def test_a_hung_newcomer_does_not_delay_the_others(weights: WeightServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hung = f"http://127.0.0.1:{silent.getsockname()[1]}"

        def connect(url: str) -> Generator:
            return (
                Generator(url, lambda: "token", Deadlines(control_s=30))
                if url == hung
                else PlayedGenerator(url, lambda: None)
            )

        fleet, observer = fleet_of(weights, connect, hung, "http://a")
        started = time.monotonic()
        for _ in range(3):
            weights.publish([])
            fleet.sync()
            collect(fleet, fleet.submit([[1]], 1, {}))
        assert time.monotonic() - started < SLACK_S
        assert observer.completions == {"a": 3}
