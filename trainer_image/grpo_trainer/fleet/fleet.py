"""Completions from generators that come and go: submit(prompts) -> tickets, which get their completions during wait().

The unit is the group, all generations of one prompt. A generator gets its share of the groups in many requests: those of
requests that failed go to other generators, finished ones are kept.

P prompts, G generations per prompt.
"""

import contextlib
import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, InvalidStateError, wait
from dataclasses import dataclass
from typing import Any, Final

from grpo_trainer.fleet.background import in_background
from grpo_trainer.fleet.errors import GeneratorLost, GeneratorsLost
from grpo_trainer.fleet.generator import MOST_REQUESTS, Completion
from grpo_trainer.fleet.observer import FleetObserver
from grpo_trainer.fleet.roster import Hold, Member, Roster

POLL_S: Final = 0.5
MOST_SENDS: Final = 5
"""Of one group. A prompt that kills each generator it comes to must not go round for ever."""

logger = logging.getLogger(__name__)

Groups = list[list[Completion]]


@dataclass(eq=False, frozen=True)
class _Terms:
    """What all groups of a `submit` have in common."""

    num_generations: int
    sampling: Mapping[str, Any]
    oldest: int
    """Which version of the weights they may be sampled from, or a later one; versions are counted."""


@dataclass(eq=False)
class Ticket:
    """One group that was asked for."""

    prompt: list[int]
    terms: _Terms
    sends: int = 0
    completions: list[Completion] | None = None
    """G of them, once they are there."""
    is_wanted: bool = True


@dataclass(frozen=True)
class _Shard:
    """Groups that went to one generator in one request."""

    member: Member
    terms: _Terms
    tickets: list[Ticket]


def split(tickets: Sequence[Ticket], most: int) -> list[list[Ticket]]:
    """Into parts of the same size, give or take one: `most` of them, if there are enough tickets."""
    return [list(tickets[number::most]) for number in range(min(most, len(tickets)))]


class Fleet:
    """Used from one thread but for `wake`; requests run in others."""

    def __init__(self, roster: Roster, observer: FleetObserver, generators_s: float) -> None:
        self._roster = roster
        self._observer = observer
        self._generators_s = generators_s
        self._running: dict[Future[Groups], _Shard] = {}
        self._waiting: list[Ticket] = []
        self._deserted_since: float | None = None
        self._woken: Future[None] = Future()

    def wake(self) -> None:
        """End a `wait` before its time; from any thread."""
        with contextlib.suppress(InvalidStateError):  # it is awake
            self._woken.set_result(None)

    def sync(self) -> None:
        """Newer weights were published: returns when each generator of the fleet has them or is lost."""
        self._roster.sync()

    def look_around(self) -> None:
        """Newer weights were published, and need not be everywhere before generation goes on."""
        self._roster.look_around()

    def submit(self, prompts: Sequence[list[int]], num_generations: int, sampling: Mapping[str, Any]) -> list[Ticket]:
        """Ask for num_generations completions of each prompt; `sampling` is vLLM's, as in a request for completions. All tokens
        are sampled from the weights that are the newest now, or from newer ones."""
        terms = _Terms(num_generations, sampling, self._roster.newest)
        tickets = [Ticket(prompt, terms) for prompt in prompts]
        self._waiting += tickets
        self._roster.look_around()
        self._dispatch()
        return tickets

    def abandon(self, tickets: Sequence[Ticket]) -> None:
        """What generators are writing already they write to its end."""
        for ticket in tickets:
            ticket.is_wanted = False
        self._waiting = [ticket for ticket in self._waiting if ticket.is_wanted]

    def wait(self, tickets: Sequence[Ticket], timeout_s: float) -> None:
        """Until all completions of the tickets are there, or for about `timeout_s`, or until it is woken.

        Raises:
            GeneratorsLost: there was no generator for `generators_s`, or none that could write these.
            UserError: the generators refuse the request.
        """
        deadline = time.monotonic() + timeout_s
        while any(ticket.completions is None for ticket in tickets):
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return
            self._work(min(POLL_S, left_s))
            if self._woken.done():
                self._woken = Future()
                return

    def _work(self, timeout_s: float) -> None:
        if self._waiting:
            self._roster.look_around()
            self._dispatch()
            self._check_deserted()
        happening: list[Future[Any]] = [*self._running, *self._roster.bringing_up(), self._woken]
        wait(happening, timeout_s, FIRST_COMPLETED)
        failed: Counter[str] = Counter()
        for request in [request for request in self._running if request.done()]:
            shard = self._running.pop(request)
            if not self._settle(request, shard):
                failed[shard.member.generator.name] += len(shard.tickets)
        for name, num_groups in failed.items():
            logger.warning("%d groups of generator %s go elsewhere", num_groups, name)
            self._observer.failed_over(num_groups)

    def _dispatch(self) -> None:
        """Split what waits over the generators whose weights are new enough, evenly."""
        for terms in dict.fromkeys(ticket.terms for ticket in self._waiting):
            members = self._roster.holding(terms.oldest)
            if not members:
                continue
            tickets = [ticket for ticket in self._waiting if ticket.terms is terms]
            self._waiting = [ticket for ticket in self._waiting if ticket.terms is not terms]
            for member, share in zip(members, split(tickets, len(members)), strict=False):
                hold = in_background(self._roster.hold, member, terms.oldest)
                for part in split(share, MOST_REQUESTS):
                    self._send(_Shard(member, terms, part), hold)

    def _send(self, shard: _Shard, hold: Future[Hold]) -> None:
        for ticket in shard.tickets:
            if ticket.sends == MOST_SENDS:
                raise GeneratorsLost(
                    f"a prompt of {len(ticket.prompt)} tokens was sent to a generator {MOST_SENDS} times, and each time it "
                    f"failed ({self._roster.describe()}); look at the generators' logs, and take the prompt out of the data "
                    "set if it is what ends them."
                )
            ticket.sends += 1
        self._running[in_background(self._complete, shard, hold)] = shard

    def _complete(self, shard: _Shard, of_share: Future[Hold]) -> Groups:
        hold = of_share.result()
        prompts, terms = [ticket.prompt for ticket in shard.tickets], shard.terms
        try:
            return shard.member.generator.complete(prompts, terms.num_generations, terms.sampling, hold.version)
        except GeneratorLost as error:
            self._roster.lose(shard.member, hold, error)
            raise

    def _settle(self, request: Future[Groups], shard: _Shard) -> bool:
        """Whether the request was answered; if not, its groups wait again."""
        try:
            groups = request.result()
        except GeneratorLost:
            self._waiting += [ticket for ticket in shard.tickets if ticket.is_wanted]
            return False
        for ticket, completions in zip(shard.tickets, groups, strict=True):
            ticket.completions = completions
        self._observer.completed(shard.member.generator.name, len(groups) * shard.terms.num_generations)
        return True

    def _check_deserted(self) -> None:
        if self._running or any(self._roster.holding(ticket.terms.oldest) for ticket in self._waiting):
            self._deserted_since = None
            return
        if self._deserted_since is None:
            self._deserted_since = time.monotonic()
        if time.monotonic() - self._deserted_since > self._generators_s:
            raise GeneratorsLost(
                f"no generator was there for {self._generators_s:.0f} s ({self._roster.describe()}); look at the run's "
                "condition GeneratorsReady and at the generators' logs."
            )
