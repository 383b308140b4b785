"""What generators of different speed get to write, in time that only passes while they write."""

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import wait
from functools import partial
from itertools import pairwise

import pytest

from grpo_trainer.fleet import fleet as fleet_module
from grpo_trainer.fleet import roster as roster_module
from grpo_trainer.fleet.fleet import Ticket
from grpo_trainer.fleet.generator import MOST_CONNECTIONS, MOST_REQUESTS
from grpo_trainer.fleet.observer import GeneratorState
from grpo_trainer.fleet.pace import BENEFIT_OF_DOUBT
from grpo_trainer.fleet.routing import RESERVE
from grpo_trainer.fleet.weights import WeightServer
from harness.waiting import wait_for
from unit.paced_generators import LENGTH, PATIENCE_S, WIDTH, Played

G = 2
GROUP_TOKENS = G * LENGTH
ONE_SLOW = (10.0, 10.0, 10.0, 5.0)
"""Tokens per second: a group takes a second, and two on the last of them."""
MOST_SEQUENCES = int(RESERVE * WIDTH)
LARGE_G = MOST_SEQUENCES // 2
"""Two such groups are all that may be under way on a generator."""


@pytest.fixture(autouse=True)
def _look_around_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roster_module, "RETRY_S", (60.0,))
    monkeypatch.setattr(roster_module, "LOOKUP_INTERVAL_S", 0.0)


@pytest.fixture
def weights() -> Iterator[WeightServer]:
    server = WeightServer("127.0.0.1", 0, deadline_s=1)
    server.publish([])
    yield server
    server.close()


def play(weights: WeightServer, monkeypatch: pytest.MonkeyPatch, *speeds: float) -> Played:
    played = Played(weights, *speeds)
    monkeypatch.setattr("grpo_trainer.fleet.fleet.time.perf_counter", lambda: played.now_s)
    return played


def test_a_generator_half_as_fast_gets_half_of_the_others_share(
    weights: WeightServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the second batch on, which takes 8 s, as it would with a perfect division; the first took 14."""
    played = play(weights, monkeypatch, *ONE_SLOW)
    assert played.write(28, G) == {"a": 7, "b": 7, "c": 7, "d": 7}
    assert played.now_s == pytest.approx(14)
    for batch in range(1, 4):
        assert played.write(28, G) == {"a": 8, "b": 8, "c": 8, "d": 4}
        assert played.now_s == pytest.approx(14 + 8 * batch)


def test_so_it_does_when_generators_are_never_idle(weights: WeightServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two batches ahead. The first three were divided before anything was measured, which is over with the sixth."""
    played = play(weights, monkeypatch, *ONE_SLOW)
    batches = [played.submit(28, G), played.submit(28, G)]
    ends_s = []
    for _ in range(10):
        batches.append(played.submit(28, G))
        while not all(ticket.completions for ticket in batches[0]):
            played.write_on([ticket for batch in batches for ticket in batch])
        del batches[0]
        ends_s.append(played.now_s)
    assert [end - begin for begin, end in pairwise(ends_s[5:])] == pytest.approx([8] * 4)


@pytest.mark.parametrize("num_groups", [1, 2, 3, 4, 5, 11, 27, 29, 30, 31, 64])
def test_a_batch_takes_a_group_more_than_with_a_perfect_division_at_most(
    weights: WeightServer, monkeypatch: pytest.MonkeyPatch, num_groups: int
) -> None:
    played = play(weights, monkeypatch, *ONE_SLOW)
    played.write(28, G)
    began_s = played.now_s
    played.write(num_groups, G)
    perfect_s = num_groups * GROUP_TOKENS / sum(ONE_SLOW)
    assert played.now_s - began_s <= perfect_s + GROUP_TOKENS / ONE_SLOW[0] + 1e-6


def test_who_is_through_takes_groups_that_wait_before_anything_was_measured(
    weights: WeightServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two at a time, so the slow one is left with the two that it has."""
    played = play(weights, monkeypatch, *(speed * LARGE_G / G for speed in ONE_SLOW))
    shares = played.write(28, LARGE_G)
    assert shares["d"] in (4, 5)
    assert max(shares.values()) <= 8
    assert played.now_s <= 8 + 2 + 1e-6


def test_what_waits_is_not_for_one_generator(weights: WeightServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of two is stuck with what it has: the other writes everything else."""
    played = play(weights, monkeypatch, 1.0, 1e-9)
    tickets = played.submit(12, LARGE_G)
    for _ in range(10):
        played.write_on(tickets)
        assert len(played.generator("a").under_way) <= 2
    assert played.observer.completions == {"a": 10 * LARGE_G}
    assert played.generator("b").sent == [[[1]], [[3]]]
    assert len(played.generator("b").under_way) == 2


@pytest.fixture
def late(weights: WeightServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Played]:
    """Two generators, of which the second has newer weights only when it is let."""
    played = play(weights, monkeypatch, 10.0, 10.0)
    played.generator("b").comes.clear()
    weights.publish([])
    yield played
    played.generator("b").comes.set()


def wait_for_sent(played: Played, tickets: list[Ticket], sent: dict[str, int]) -> None:
    """Groups that each generator has got."""

    def is_sent() -> bool:
        played.fleet.wait(tickets, 0.01)
        return sent == {name: sum(map(len, played.generator(name).sent)) for name in "ab"}

    wait_for("groups are sent", is_sent, PATIENCE_S, 0.01)


def test_who_has_new_weights_first_does_not_get_the_groups_of_all(
    late: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet_module, "COMES_WITHIN_S", PATIENCE_S)
    tickets = late.submit(8, G)
    wait_for_sent(late, tickets, {"a": 4, "b": 0})
    late.generator("b").comes.set()
    wait_for_sent(late, tickets, {"a": 4, "b": 4})


def test_weights_that_come_between_two_looks_are_noticed_at_once(late: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_module, "COMES_WITHIN_S", PATIENCE_S)
    monkeypatch.setattr(fleet_module, "POLL_S", PATIENCE_S)
    tickets = late.submit(8, G)
    wait_for_sent(late, tickets, {"a": 4, "b": 0})
    dispatch, coming = late.fleet._dispatch, late.fleet._roster.bringing_up()

    def dispatch_before_they_come() -> None:
        dispatch()
        late.generator("b").comes.set()
        wait(coming)

    monkeypatch.setattr(late.fleet, "_dispatch", dispatch_before_they_come)
    waiting = threading.Thread(target=late.fleet.wait, args=[tickets, PATIENCE_S])
    waiting.start()
    wait_for("groups of b", lambda: len(late.generator("b").sent) == 4, PATIENCE_S / 2, 0.01)
    late.fleet.wake()
    waiting.join()


def test_who_takes_too_long_for_new_weights_is_not_waited_for(late: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_module, "COMES_WITHIN_S", 0.05)
    wait_for_sent(late, late.submit(8, G), {"a": 8, "b": 0})


def test_a_group_is_in_one_request_and_sent_once(weights: WeightServer, monkeypatch: pytest.MonkeyPatch) -> None:
    played = play(weights, monkeypatch, *ONE_SLOW)
    for num_groups, num_generations in ((3, 2), (200, 2), (40, LARGE_G)):
        before = {url: len(generator.sent) for url, generator in played.generators.items()}
        played.write(num_groups, num_generations)
        sent = Counter(
            number
            for url, generator in played.generators.items()
            for prompts in generator.sent[before[url] :]
            for [number] in prompts
        )
        assert sent == Counter(range(num_groups))


def test_each_group_of_a_batch_has_a_request_while_another_batch_is_under_way(
    weights: WeightServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else all of it would be finished, or lost, with its last completion."""
    played = play(weights, monkeypatch, 1.0)
    tickets = played.submit(MOST_REQUESTS, G) + played.submit(MOST_REQUESTS, G)
    played.settle(tickets)
    [generator] = played.generators.values()
    assert [len(prompts) for prompts in generator.sent] == [1] * 2 * MOST_REQUESTS


def test_requests_and_sequences_under_way_are_bounded(weights: WeightServer, monkeypatch: pytest.MonkeyPatch) -> None:
    played = play(weights, monkeypatch, 1.0)
    tickets = played.submit(MOST_SEQUENCES + 100, 1)
    [generator] = played.generators.values()
    while not all(ticket.completions for ticket in tickets):
        played.settle(tickets)
        assert len(generator.under_way) <= MOST_CONNECTIONS
        assert sum(request.num_sequences for request in generator.under_way) <= MOST_SEQUENCES
        played.write_on(tickets)


def under_way(played: Played) -> dict[str, int]:
    return {name: sum(request.num_sequences for request in played.generator(name).under_way) for name in "ab"}


def test_what_a_generator_could_not_write_at_once_waits_for_who_falls_idle(
    weights: WeightServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The narrow one is stuck with three groups of twenty, the first two of which it writes."""
    played = play(weights, monkeypatch, 10.0, 1e-9)
    played.generator("a").width, played.generator("b").width = 8, 4
    tickets = played.submit(20, G)
    played.settle(tickets)
    assert under_way(played) == {"a": 10, "b": 6}
    for _ in range(17):
        played.write_on(tickets)
    assert played.observer.completions == {"a": 17 * G}
    assert under_way(played) == {"a": 0, "b": 6}


def test_a_group_that_is_wider_than_its_generator_is_written(
    weights: WeightServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    played = play(weights, monkeypatch, 10.0, 10.0)
    played.generator("a").width = played.generator("b").width = 4
    tickets = played.submit(6, 16)
    played.settle(tickets)
    assert under_way(played) == {"a": 16, "b": 16}
    while not all(ticket.completions for ticket in tickets):
        played.write_on(tickets)
    assert played.observer.completions == {"a": 3 * 16, "b": 3 * 16}


def test_more_is_under_way_where_requests_wait_for_their_longest_completion(
    weights: WeightServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is three times as long as the other: of two that are under way four thirds are being written."""
    played = play(weights, monkeypatch, 10.0)
    [generator] = played.generators.values()
    generator.width, generator.longest = 8, 3 * LENGTH
    for most in (10, 16):  # 8 * RESERVE, and once it is known as often 3/2, each up to the end of a group
        tickets = played.submit(20, G)
        played.settle(tickets)
        assert sum(request.num_sequences for request in generator.under_way) == most
        while not all(ticket.completions for ticket in tickets):
            played.write_on(tickets)


def test_what_is_wanted_now_is_sent_before_what_waits(weights: WeightServer, monkeypatch: pytest.MonkeyPatch) -> None:
    played = play(weights, monkeypatch, 1.0)
    ahead = played.submit(5, LARGE_G)
    played.settle(ahead)
    now = played.fleet.submit([[7]], LARGE_G, {"max_tokens": 2 * LENGTH}, first=True)
    while not all(ticket.completions for ticket in [*ahead, *now]):
        played.write_on([*ahead, *now])
    assert [number for [[number]] in played.generator("a").sent] == [0, 1, 7, 2, 3, 4]


def test_groups_of_a_failed_generator_go_elsewhere_before_those_that_wait(
    weights: WeightServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    played = play(weights, monkeypatch, 1.0, 1.0)
    tickets = played.submit(8, LARGE_G)
    played.settle(tickets)
    assert played.generator("b").sent == [[[1]], [[3]]]
    played.generator("b").die()
    while not all(ticket.completions for ticket in tickets):
        played.write_on(tickets)
    sent = [number for [[number]] in played.generator("a").sent]
    assert set(sent[:2]) == {0, 2}
    assert set(sent[2:4]) == {1, 3}
    assert set(sent[4:]) == {4, 5, 6, 7}
    assert len(sent) == 8
    assert played.observer.groups_failed_over == 2
    assert played.observer.completions == {"a": 8 * LARGE_G}


def test_a_generator_that_leaves_finishes_what_it_writes_and_gets_no_more(
    weights: WeightServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does it hold up a sync, which it gets nothing of. A pod that comes in its place, with its address, joins."""
    monkeypatch.setattr(roster_module, "RETRY_S", (0.0,))
    played = play(weights, monkeypatch, 10.0, 10.0)
    leaving = played.generator("b")
    tickets = played.submit(8, LARGE_G)
    played.settle(tickets)
    assert len(leaving.under_way) == 2
    leaving.is_asked_to_end = True
    weights.publish([])
    played.fleet.sync()
    assert not played.has_newest("b")
    assert played.observer.latest == {"a": GeneratorState.IN_SYNC, "b": GeneratorState.READY}
    while not all(ticket.completions for ticket in tickets):
        played.write_on(tickets)
    assert played.observer.completions == {"a": 6 * LARGE_G, "b": 2 * LARGE_G}
    assert played.observer.groups_failed_over == 0
    leaving.is_asked_to_end = False
    wait_for("the newcomer", lambda: played.write(4, LARGE_G) == {"a": 2, "b": 2}, PATIENCE_S, 0.01)


def test_who_does_not_know_yet_that_a_generator_leaves_asks_another_one(
    weights: WeightServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    played = play(weights, monkeypatch, 10.0, 10.0)
    played.generator("b").is_asked_to_end = True
    assert played.write(4, LARGE_G) == {"a": 4, "b": 0}
    assert played.observer.groups_failed_over == 0


def test_a_prompt_that_many_leaving_generators_refuse_is_none_that_ends_them(
    weights: WeightServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    played = play(weights, monkeypatch, *[10.0] * 8)
    for name in "abcdefg":
        played.generator(name).is_asked_to_end = True
    assert played.write(1, 1)["h"] == 1


def test_a_very_slow_generator_is_tried_again_after_a_while(
    weights: WeightServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was ten times slower. Four groups take the other 4 s: it gets one when it is thought to write one in less."""
    played = play(weights, monkeypatch, 10.0, 1.0)
    assert played.write(4, G) == {"a": 2, "b": 2}
    played.generator("b").speed = 10.0
    for _ in range(31):
        assert played.write(4, G) == {"a": 4, "b": 0}
    assert played.write(4, G) == {"a": 3, "b": 1}
    assert played.write(4, G) == {"a": 2, "b": 2}


def test_so_it_is_when_each_batch_comes_with_new_weights(
    weights: WeightServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has them when the batch comes, and the slow one when the other has got its share of it."""
    monkeypatch.setattr(fleet_module, "COMES_WITHIN_S", PATIENCE_S)
    played = play(weights, monkeypatch, 10.0, 1.0)

    def write() -> dict[str, int]:
        before = played.observer.completions.copy()
        for name in "ab":
            played.generator(name).comes.clear()
        weights.publish([])
        tickets = played.submit(4, G)
        for name in "ab":
            played.generator(name).comes.set()
            wait_for("it has them", partial(played.has_newest, name), PATIENCE_S, 0.001)
            played.fleet.wait(tickets, 0.001)
        while not all(ticket.completions for ticket in tickets):
            played.write_on(tickets)
        return {name: (played.observer.completions[name] - before[name]) // G for name in "ab"}

    assert write() == {"a": 2, "b": 2}
    played.generator("b").speed = 10.0
    assert [write() for _ in range(31)] == [{"a": 4, "b": 0}] * 31
    assert write() == {"a": 3, "b": 1}
    assert write() == {"a": 2, "b": 2}


def test_a_batch_counts_once_that_went_elsewhere_in_parts(
    weights: WeightServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    played = play(weights, monkeypatch, 10.0, 10.0, 1.0)
    played.write(6, G)
    [slow] = [pace for member, pace in played.fleet._paces.items() if member.generator is played.generator("c")]
    assert slow.tokens_per_s == pytest.approx(1.0)
    tickets = played.submit(4, G)
    played.settle(tickets)
    assert slow.tokens_per_s == pytest.approx(BENEFIT_OF_DOUBT)
    played.generator("b").die()
    while not all(ticket.completions for ticket in tickets):
        played.write_on(tickets)
    assert slow.tokens_per_s == pytest.approx(BENEFIT_OF_DOUBT)


def test_who_wrote_of_a_batch_was_not_passed_over(weights: WeightServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has been through with its group for a while, and has nothing to do, when the last one goes to the other."""
    played = play(weights, monkeypatch, 9.0, 2.0)
    assert played.write(2, LARGE_G) == {"a": 1, "b": 1}
    [pace] = [pace for member, pace in played.fleet._paces.items() if member.generator is played.generator("b")]
    assert played.write(9, LARGE_G) == {"a": 8, "b": 1}
    assert pace.tokens_per_s == pytest.approx(2.0)


def test_tokens_and_seconds_of_each_generator_are_told(weights: WeightServer, monkeypatch: pytest.MonkeyPatch) -> None:
    played = play(weights, monkeypatch, 10.0, 5.0)
    played.write(6, G)
    assert played.observer.tokens == {"a": 3 * GROUP_TOKENS, "b": 3 * GROUP_TOKENS}
    assert played.observer.busy_s == {"a": pytest.approx(3), "b": pytest.approx(6)}
    played.write(6, G)
    assert played.observer.tokens == {"a": 7 * GROUP_TOKENS, "b": 5 * GROUP_TOKENS}
    assert played.observer.busy_s == {"a": pytest.approx(7), "b": pytest.approx(10)}
