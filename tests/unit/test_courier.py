"""Completions come to the rank that they are for, apart from its main thread; so does bad news."""

import socket
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from types import SimpleNamespace
from typing import Any

import pytest

from grpo_contract.failure import PodReason, RunFailure, UserError
from grpo_trainer.end_request import AskedToEnd
from grpo_trainer.fleet import courier as courier_module
from grpo_trainer.fleet import inbox as inbox_module
from grpo_trainer.fleet import wire
from grpo_trainer.fleet.completion import Completion
from grpo_trainer.fleet.courier import Courier, receive
from grpo_trainer.fleet.errors import GeneratorsLost
from grpo_trainer.fleet.fleet import Ticket
from grpo_trainer.fleet.inbox import Batch, Inbox
from grpo_trainer.fleet.wire import Exchange, call, connect
from harness.daemons import address_of_nobody
from harness.waiting import wait_for

G = 2
RANKS = 2
SOON_S = 20.0
SILENCE_S = 60.0


def stays(rank: int) -> None:
    raise AssertionError(f"rank {rank} has not vanished")


class PlayedFleet:
    """Writes when it is told to."""

    def __init__(self) -> None:
        self.tickets: list[Ticket] = []
        self.abandoned: list[list[int]] = []
        self.changed = threading.Condition()
        self.error: Exception | None = None
        self.is_awake = False
        self.waited_for: list[list[int]] = []
        self.tail: list[int] = []
        """Of each completion, all of which are as long as that makes them."""

    def submit(self, prompts: Sequence[list[int]], num_generations: int, sampling: Mapping[str, Any]) -> list[Ticket]:
        tickets = [Ticket(prompt, SimpleNamespace(num_generations=G), seed=0) for prompt in prompts]  # type: ignore[arg-type]
        with self.changed:
            self.tickets += tickets
            self.changed.notify_all()
        return tickets

    def wake(self) -> None:
        with self.changed:
            self.is_awake = True
            self.changed.notify_all()

    def wait(self, tickets: Sequence[Ticket], timeout_s: float) -> None:
        self.waited_for = [ticket.prompt for ticket in tickets]
        with self.changed:
            self.changed.wait_for(lambda: self.is_awake or self.error is not None, timeout_s)
            self.is_awake = False
            if self.error is not None:
                error, self.error = self.error, None
                raise error

    def abandon(self, tickets: Sequence[Ticket]) -> None:
        self.abandoned += [ticket.prompt for ticket in tickets]

    def write(self, *prompts: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: {p for t in self.tickets for p in t.prompt} >= set(prompts), SOON_S)
            for ticket in self.tickets:
                if ticket.prompt[0] in prompts:
                    ticket.completions = [Completion([*ticket.prompt, place, *self.tail], [-1.0]) for place in range(G)]
        self.wake()

    def fail(self, error: Exception) -> None:
        with self.changed:
            self.error = error
            self.changed.notify_all()


@dataclass
class Rank:
    inbox: Inbox = field(default_factory=Inbox)
    told: list[tuple[Batch, dict[int, list[int]]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.inbox.told = lambda batch, completions: self.told.append((batch, dict(completions)))


@dataclass
class Ranks:
    fleet: PlayedFleet
    courier: Courier
    ranks: list[Rank]

    def ask(self, batch: Batch, *prompts: int, first: bool = False) -> None:
        for rank in self.ranks:
            rank.inbox.expect(batch, len(prompts) * G // RANKS)
        self.courier.ask(batch, lambda fleet: fleet.submit([[prompt] for prompt in prompts], G, {}), first=first)

    def take(self, batch: Batch) -> list[list[list[int]]]:
        """Tokens of completions, by rank."""
        return [[completion.token_ids for completion in in_time(rank.inbox.take, batch)] for rank in self.ranks]

    def errors(self, batch: Batch) -> list[Exception]:
        return [raised(rank.inbox.take, batch) for rank in self.ranks]


def in_time(call: Callable[..., Any], *args: Any) -> Any:
    """Of the call, which must not take for ever."""
    outcome: list[Any] = []
    thread = threading.Thread(target=lambda: outcome.append(call(*args)), daemon=True)
    thread.start()
    thread.join(SOON_S)
    assert outcome, "it takes too long"
    return outcome[0]


def raised(call: Callable[..., Any], *args: Any) -> Exception:
    def caught() -> Exception:
        with pytest.raises(Exception) as error:  # noqa: PT011
            call(*args)
        return error.value

    error: Exception = in_time(caught)
    return error


def wait_until(condition: Callable[[], bool]) -> None:
    wait_for("it", condition, SOON_S, interval_s=0.01)


@pytest.fixture
def ranks() -> Ranks:
    exchange, others = Exchange("127.0.0.1", stays), [Rank() for _ in range(RANKS)]
    receive(connect(exchange.address, 1), others[1].inbox, SILENCE_S, stays)
    exchange.wait_for(1)
    fleet = PlayedFleet()
    return Ranks(fleet, Courier(fleet, others[0].inbox, exchange), others)  # type: ignore[arg-type]


def test_each_rank_gets_its_own_completions_in_their_order(ranks: Ranks) -> None:
    ranks.ask("a", 1, 2, 3)
    ranks.fleet.write(3, 2, 1)
    assert ranks.take("a") == [[[1, 0], [1, 1], [2, 0]], [[2, 1], [3, 0], [3, 1]]]


def test_ranks_are_told_of_completions_before_all_are_there(ranks: Ranks) -> None:
    ranks.ask("a", 1, 2)
    ranks.fleet.write(2)
    wait_until(lambda: ranks.ranks[1].told == [("a", {0: [2, 0], 1: [2, 1]})])
    assert ranks.ranks[0].told == []
    ranks.fleet.write(1)
    assert ranks.take("a") == [[[1, 0], [1, 1]], [[2, 0], [2, 1]]]
    assert ranks.ranks[0].told == [("a", {0: [1, 0], 1: [1, 1]})]


def test_a_later_batch_may_be_there_before_an_earlier_one_is_taken(ranks: Ranks) -> None:
    ranks.ask("a", 1, 2)
    ranks.ask("b", 3, 4)
    ranks.fleet.write(3, 4)
    wait_until(lambda: [batch for rank in ranks.ranks for batch, _ in rank.told] == ["b", "b"])
    ranks.fleet.write(1, 2)
    assert ranks.take("a") == [[[1, 0], [1, 1]], [[2, 0], [2, 1]]]
    assert ranks.take("b") == [[[3, 0], [3, 1]], [[4, 0], [4, 1]]]


def test_what_is_wanted_now_is_waited_for_before_what_was_asked_for_ahead(ranks: Ranks) -> None:
    ranks.ask("ahead", 1, 2)
    ranks.ask("now", 3, 4, first=True)
    wait_until(lambda: ranks.fleet.waited_for == [[3], [4]])
    ranks.fleet.write(3, 4)
    assert ranks.take("now") == [[[3, 0], [3, 1]], [[4, 0], [4, 1]]]
    wait_until(lambda: ranks.fleet.waited_for == [[1], [2]])


def test_what_is_asked_for_while_another_batch_is_waited_for_is_asked_for_at_once(
    ranks: Ranks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courier_module, "PORTION_S", 10 * SOON_S)
    ranks.ask("a", 1, 2)
    in_time(ranks.ask, "b", 3, 4)
    wait_until(lambda: [ticket.prompt for ticket in ranks.fleet.tickets] == [[1], [2], [3], [4]])


@pytest.mark.parametrize(
    "error",
    [
        GeneratorsLost("no generator was there"),
        UserError(PodReason.INVALID_RECIPE, "spec.recipe.top_p: 7 is too much."),
    ],
)
def test_every_rank_learns_why_completions_do_not_come(ranks: Ranks, error: Any) -> None:
    ranks.ask("a", 1, 2)
    ranks.fleet.fail(error)
    assert [(type(found), str(found)) for found in ranks.errors("a")] == [(type(error), str(error))] * RANKS
    assert ranks.fleet.abandoned == [[1], [2]]
    ranks.ask("b", 3, 4)
    ranks.fleet.write(3, 4)
    assert len(ranks.take("b")) == RANKS


@pytest.mark.parametrize("written", [1, 2])
def test_a_rank_that_has_all_of_its_completions_waits_for_those_of_the_others(ranks: Ranks, written: int) -> None:
    """Outside of a collective, whose time-out is none of the fleet's; so it learns what went wrong with theirs."""
    ranks.ask("a", 1, 2)
    ranks.fleet.write(written)
    wait_until(lambda: ranks.ranks[written - 1].told == [("a", {0: [written, 0], 1: [written, 1]})])
    ranks.fleet.fail(GeneratorsLost("no generator was there"))
    assert [str(error) for error in ranks.errors("a")] == ["no generator was there"] * RANKS


def test_every_rank_learns_why_completions_cannot_be_asked_for(ranks: Ranks, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> list[Ticket]:
        raise GeneratorsLost("a prompt was sent too often")

    with monkeypatch.context() as patched:
        patched.setattr(ranks.fleet, "submit", refuse)
        ranks.ask("a", 1, 2)
        assert [str(error) for error in ranks.errors("a")] == ["a prompt was sent too often"] * RANKS
    ranks.ask("b", 3, 4)
    ranks.fleet.write(3, 4)
    assert len(ranks.take("b")) == RANKS


def test_all_ranks_go_on_when_what_they_wait_for_is_done(ranks: Ranks) -> None:
    begun, end = threading.Event(), threading.Event()

    def sync(fleet: Any) -> None:
        begun.set()
        end.wait(SOON_S)

    for rank in ranks.ranks:
        rank.inbox.expect("sync", 0)
    ranks.courier.tell_end("sync", sync)
    assert begun.wait(SOON_S)
    with ThreadPoolExecutor(RANKS) as pool:
        taken = [pool.submit(rank.inbox.take, "sync") for rank in ranks.ranks]
        assert wait(taken, timeout=0.2).done == set()
        end.set()
        assert [future.result(SOON_S) for future in taken] == [[], []]


def test_all_ranks_learn_why_what_they_wait_for_is_not_done(ranks: Ranks) -> None:
    def fail(fleet: Any) -> None:
        raise KeyError("lost")

    for rank in ranks.ranks:
        rank.inbox.expect("sync", 0)
    ranks.courier.tell_end("sync", fail)
    for error in ranks.errors("sync"):
        assert str(error).startswith("completions cannot be had: KeyError: 'lost'")


def test_all_ranks_leave_a_wait_that_is_broken_off(ranks: Ranks) -> None:
    ranks.ask("a", 1, 2)
    ranks.courier.break_off("a", AskedToEnd("a pod is to end").failure)
    assert [(type(error), str(error)) for error in ranks.errors("a")] == [(AskedToEnd, "a pod is to end")] * RANKS
    assert ranks.fleet.abandoned == [[1], [2]]


def test_what_is_complete_is_not_broken_off(ranks: Ranks) -> None:
    """A rank may have left the wait with it already."""
    ranks.ask("a", 1, 2)
    ranks.fleet.write(1, 2)
    assert len(ranks.take("a")) == RANKS
    ranks.ask("b", 3, 4)
    ranks.courier.break_off("a", AskedToEnd("a pod is to end").failure)
    ranks.fleet.write(3, 4)
    assert ranks.take("b") == [[[3, 0], [3, 1]], [[4, 0], [4, 1]]]


def test_whoever_waits_looks_for_something_else_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox_module, "MEANWHILE_S", 0.01)
    inbox, looks = Inbox(), list[int]()
    inbox.expect("a", 0)

    def look() -> None:
        looks.append(1)
        if len(looks) == 3:
            inbox.complete("a")

    assert in_time(inbox.take, "a", look) == []
    assert len(looks) == 3


def test_rank_0_hears_a_rank_that_calls() -> None:
    exchange = Exchange("127.0.0.1", stays)
    with connect(exchange.address, 1) as connection:
        exchange.wait_for(1)
        assert not exchange.is_called()
        call(connection)
        wait_until(exchange.is_called)
        assert not exchange.is_called()
    call(connection)  # it is closed
    wait_until(lambda: not exchange.is_called())  # nor is its end a call


def test_a_defect_of_the_fleet_ends_the_wait(ranks: Ranks) -> None:
    ranks.ask("a", 1, 2)
    ranks.fleet.fail(KeyError("lost"))
    for error in ranks.errors("a"):
        assert type(error) is RunFailure
        assert error.failure.reason == PodReason.LEARNER_ERROR
        assert str(error).startswith("completions cannot be had: KeyError: 'lost'")


def test_what_is_forgotten_is_abandoned_and_comes_to_nobody(ranks: Ranks) -> None:
    ranks.ask("a", 1, 2)
    ranks.courier.forget(["a"])
    for rank in ranks.ranks:
        rank.inbox.forget()
    assert ranks.fleet.abandoned == [[1], [2]]
    ranks.fleet.write(1, 2)
    ranks.ask("b", 3, 4)
    ranks.fleet.write(3, 4)
    assert ranks.take("b") == [[[3, 0], [3, 1]], [[4, 0], [4, 1]]]
    assert {batch for rank in ranks.ranks for batch, _ in rank.told} == {"b"}


def test_a_rank_that_takes_nothing_keeps_nobody_waiting() -> None:
    """Its process is stopped, say: the others' collective has a time-out, and what they do before has none."""
    exchange, others, fleet = Exchange("127.0.0.1", stays), [Rank() for _ in range(3)], PlayedFleet()
    with connect(exchange.address, 1):
        receive(connect(exchange.address, 2), others[2].inbox, SILENCE_S, stays)
        exchange.wait_for(2)
        courier = Courier(fleet, others[0].inbox, exchange)  # type: ignore[arg-type]
        for rank in others:
            rank.inbox.expect("a", G)
        fleet.tail = [7] * (4 << 20)  # more than sockets buffer
        courier.ask("a", lambda played: played.submit([[1], [2], [3]], G, {}))
        fleet.write(1, 2, 3)
        assert [completion.token_ids[:2] for completion in in_time(others[0].inbox.take, "a")] == [[1, 0], [1, 1]]
        assert [completion.token_ids[:2] for completion in in_time(others[2].inbox.take, "a")] == [[3, 0], [3, 1]]
        in_time(courier.forget, [])  # the fleet's thread is free


def test_a_rank_notices_that_rank_0_is_gone() -> None:
    ours, theirs = socket.socketpair()
    inbox = Inbox()
    inbox.expect("a", 1)
    receive(Connection(theirs.detach()), inbox, SILENCE_S, stays)
    ours.close()
    error = raised(inbox.take, "a")
    assert str(error).startswith("completions cannot be had: rank 0, which brings completions, is gone (EOFError")


def test_a_rank_notices_that_rank_0_is_silent() -> None:
    _ours, theirs = socket.socketpair()
    inbox = Inbox()
    inbox.expect("a", 1)
    receive(Connection(theirs.detach()), inbox, 0.2, stays)
    error = raised(inbox.take, "a")
    assert str(error) == ("completions cannot be had: rank 0, which brings completions, has said nothing for 0.2 s.")
    assert isinstance(error, RunFailure)
    assert error.failure.reason == PodReason.COLLECTIVE_TIMEOUT


def test_rank_0_shows_that_it_lives_while_the_fleet_is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sync may take longer than ranks put up with silence."""
    monkeypatch.setattr(wire, "SIGN_OF_LIFE_S", 0.1)
    exchange, fleet = Exchange("127.0.0.1", stays), PlayedFleet()
    busy, end = threading.Event(), threading.Event()

    def sync(played: Any) -> None:
        busy.set()
        end.wait()

    with connect(exchange.address, 1) as connection:
        exchange.wait_for(1)
        courier = Courier(fleet, Inbox(), exchange)  # type: ignore[arg-type]
        courier.tell_end("sync", sync)
        assert busy.wait(SOON_S)
        for _ in range(3):
            assert connection.poll(SOON_S)
            assert connection.recv() is None
        end.set()


def test_whoever_has_no_token_is_no_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "CONNECTED_WITHIN_S", 0.5)
    exchange = Exchange("127.0.0.1", stays)
    stranger = socket.create_connection((exchange.address.host, exchange.address.port), timeout=SOON_S)
    stranger.sendall(b"x" * (wire.TOKEN_BYTES + 4))
    with pytest.raises(RunFailure, match="1 of 1 ranks do not connect to rank 0 for completions"):
        exchange.wait_for(1)
    assert stranger.recv(1) == b""


def test_a_rank_that_cannot_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when packets to rank 0 are dropped."""
    monkeypatch.setattr(wire, "CONNECTED_WITHIN_S", 0.5)
    refused = pytest.raises(RunFailure, match=r"rank 1 cannot connect to rank 0 \(127.0.0.1\)")
    with address_of_nobody() as (host, port), refused as caught:
        connect(wire.Address(host, port, b"x" * wire.TOKEN_BYTES), 1)
    assert caught.value.failure.reason == PodReason.RENDEZVOUS_TIMEOUT


def silent(stranger: socket.socket) -> None:
    pass


def gone(stranger: socket.socket) -> None:
    stranger.close()


def torn(stranger: socket.socket) -> None:
    """With a reset, which comes to who reads from it."""
    stranger.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stranger.close()


@pytest.mark.parametrize("behave", [silent, gone, torn])
def test_a_stranger_does_not_keep_ranks_out(
    behave: Callable[[socket.socket], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "HELLO_WITHIN_S", 0.2)
    exchange = Exchange("127.0.0.1", stays)
    stranger = socket.create_connection((exchange.address.host, exchange.address.port), timeout=SOON_S)
    behave(stranger)
    with connect(exchange.address, 1):
        assert in_time(ranks_of, exchange) == [1]


def ranks_of(exchange: Exchange) -> list[int]:
    exchange.wait_for(1)
    return exchange.ranks


def test_a_rank_may_say_who_it_is_in_pieces() -> None:
    exchange = Exchange("127.0.0.1", stays)
    rank = socket.create_connection((exchange.address.host, exchange.address.port), timeout=SOON_S)
    hello = exchange.address.token + (3).to_bytes(4, "big")
    rank.sendall(hello[:10])
    threading.Timer(0.2, rank.sendall, [hello[10:]]).start()
    exchange.wait_for(1)
    assert exchange.ranks == [3]
