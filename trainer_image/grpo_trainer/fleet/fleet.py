"""Completions from generators that come and go: submit(prompts) -> tickets, which get their completions during wait().

The unit is the group, all generations of one prompt, which stays together: its generator reads the prompt once. It goes to
the generator that will be through with it first (`routing`), or waits here for it. A generator gets its share in many
requests: groups of requests that failed go to other generators, finished ones are kept.

P prompts, G generations per prompt.
"""

import contextlib
import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, InvalidStateError, wait
from dataclasses import dataclass, field
from typing import Any, Final
from weakref import WeakKeyDictionary

from grpo_trainer.fleet.background import in_background
from grpo_trainer.fleet.completion import Completion
from grpo_trainer.fleet.errors import GeneratorLost, GeneratorsLost
from grpo_trainer.fleet.generator import MOST_CONNECTIONS, MOST_REQUESTS
from grpo_trainer.fleet.observer import FleetObserver
from grpo_trainer.fleet.pace import Average, Pace
from grpo_trainer.fleet.roster import Hold, Member, Roster
from grpo_trainer.fleet.routing import Group, Load, enough, route
from grpo_trainer.fleet.seeds import seeded

POLL_S: Final = 0.5
MOST_SENDS: Final = 5
"""Of one group. A prompt that kills each generator it comes to must not go round for ever."""
LENGTHS: Final = 256
"""Groups of which the mean length of completions is known, about."""
COMES_WITHIN_S: Final = 1.0
"""After the first generator that has new weights, the others are waited for so long at least."""
VLLM_MAX_TOKENS: Final = 16
"""Of a request that does not say how long a completion may be."""

logger = logging.getLogger(__name__)

Groups = list[list[Completion]]


@dataclass(eq=False)
class _Terms:
    """What all groups of a `submit` have in common."""

    num_generations: int
    sampling: Mapping[str, Any]
    oldest: int
    """Which version of the weights they may be sampled from, or a later one; versions are counted."""
    asked_s: float = field(default_factory=time.monotonic)
    first_there_s: float | None = None
    """When a first generator had these weights."""
    writers: set[Member] = field(default_factory=set)
    """Who got some of the groups."""
    are_sent: bool = False
    """All of the groups, once at least."""

    def expected_tokens(self, mean_length: float | None) -> float:
        """Of a group, all of its completions. `mean_length` is that of completions so far; until there is one, each is
        expected to be as long as it may be."""
        longest: float = self.sampling.get("max_tokens", VLLM_MAX_TOKENS)
        return self.num_generations * (longest if mean_length is None else min(mean_length, longest))


@dataclass(eq=False)
class Ticket:
    """One group that was asked for."""

    prompt: list[int]
    terms: _Terms
    seed: int
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
    hold: Future[Hold]
    """Of its share: whether the generator has the weights for them."""

    @property
    def was_seen(self) -> bool:
        """By the generator, now that the request has ended."""
        return self.hold.exception() is None

    @property
    def num_sequences(self) -> int:
        return len(self.tickets) * self.terms.num_generations

    @property
    def sampling(self) -> dict[str, Any]:
        return seeded(self.terms.sampling, [ticket.seed for ticket in self.tickets])


def split(tickets: Sequence[Ticket], most: int) -> list[list[Ticket]]:
    """Into parts of the same size, give or take one: `most` of them, if there are enough tickets."""
    return [list(tickets[number::most]) for number in range(min(most, len(tickets)))]


class Fleet:
    """Used from one thread but for `wake`; requests run in others."""

    def __init__(self, roster: Roster, observer: FleetObserver, generators_s: float) -> None:
        self._roster = roster
        self._observer = observer
        self._generators_s = generators_s
        self.num_ended = 0
        """Requests that were answered or have failed."""
        self._running: dict[Future[Groups], _Shard] = {}
        self._waiting: list[Ticket] = []
        self._lengths, self._longest = Average(LENGTHS), Average(LENGTHS)
        """Of a completion, and of the longest one of a request."""
        self._paces: WeakKeyDictionary[Member, Pace] = WeakKeyDictionary()
        self._deserted_since: float | None = None
        self._woken: Future[None] = Future()

    def wake(self) -> None:
        """End a `wait` before its time; from any thread."""
        with contextlib.suppress(InvalidStateError):  # it is awake
            self._woken.set_result(None)

    def sync(self) -> None:
        """Newer weights were published: returns when each generator of the fleet has them or is lost."""
        self._roster.sync()

    def submit(
        self,
        prompts: Sequence[list[int]],
        num_generations: int,
        sampling: Mapping[str, Any],
        seeds: Sequence[int] | None = None,
        *,
        first: bool = False,
    ) -> list[Ticket]:
        """Ask for num_generations completions of each prompt; `sampling` is vLLM's, as in a request for completions, and each
        prompt's seed is in `seeds`, or its place. All tokens are sampled from the weights that are the newest now, or from
        newer ones. `first`: before all that waits already."""
        terms = _Terms(num_generations, sampling, self._roster.newest)
        seeds = range(len(prompts)) if seeds is None else seeds
        tickets = [Ticket(prompt, terms, seed) for prompt, seed in zip(prompts, seeds, strict=True)]
        if not self._waiting:
            self._deserted_since = None
        self._waiting = [*tickets, *self._waiting] if first else [*self._waiting, *tickets]
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
        bringing_up = self._roster.bringing_up()  # before it is seen who holds what, or one might be through in between
        self._dispatch()
        self._check_deserted()
        happening: list[Future[Any]] = [*self._running, *bringing_up, self._woken]
        wait(happening, timeout_s, FIRST_COMPLETED)
        self._roster.tell()
        self._settle_done()
        self._dispatch()

    def _settle_done(self) -> None:
        failed: Counter[str] = Counter()
        for request in [request for request in self._running if request.done()]:
            shard = self._running.pop(request)
            self.num_ended += 1
            if not self._settle(request, shard):
                failed[shard.member.generator.name] += len(shard.tickets)
        for name, num_groups in failed.items():
            logger.warning("%d groups of generator %s go elsewhere", num_groups, name)
            self._observer.failed_over(num_groups)

    def _dispatch(self) -> None:
        """Send what waits to whoever will be through with it first, and has room."""
        for terms in dict.fromkeys(ticket.terms for ticket in self._waiting):
            tickets = [ticket for ticket in self._waiting if ticket.terms is terms]
            awaited = self._awaited(terms)  # first: who comes to hold them now is in one of the two
            holding = self._roster.holding(terms.oldest)
            coming = [member for member in awaited if member not in holding]
            group = Group(terms.num_generations, self._expected_tokens(terms))
            loads = [*(self._load(member) for member in holding), *(self._load(member, True) for member in coming)]
            shares = route([group] * len(tickets), loads)
            for member, places in zip([*holding, *coming], shares, strict=True):
                if places:
                    self._send_share(member, terms, [tickets[place] for place in places])
            if sum(map(len, shares)) == len(tickets):
                self._note_passed_over(terms, [*holding, *coming])

    def _awaited(self, terms: _Terms) -> list[Member]:
        """Generators that will have the weights soon. They get them all at once, and one has them first: it must not get the
        groups of all. Whoever takes twice as long as that one is not waited for."""
        now_s = time.monotonic()
        if terms.first_there_s is None and self._roster.holding(terms.oldest):
            terms.first_there_s = now_s
        if terms.first_there_s is not None and now_s > terms.first_there_s + max(
            COMES_WITHIN_S, terms.first_there_s - terms.asked_s
        ):
            return []
        return self._roster.coming(terms.oldest)

    def _note_passed_over(self, terms: _Terms, members: Sequence[Member]) -> None:
        """The last group has been sent. Not before: when a batch comes with new weights nobody has them yet."""
        if terms.are_sent:  # it was one that failed elsewhere
            return
        terms.are_sent = True
        busy = {shard.member for shard in self._running.values()} | terms.writers
        for member in members:
            if member not in busy:
                self._pace(member).passed_over()

    def _load(self, member: Member, is_coming: bool = False) -> Load:
        shards = self._shards_of(member)
        return Load(
            sequences=sum(shard.num_sequences for shard in shards),
            tokens=sum(len(shard.tickets) * self._expected_tokens(shard.terms) for shard in shards),
            rate=self._pace(member).tokens_per_s,
            most=enough(member.generator.width, self._lengths.value, self._longest.value),
            is_coming=is_coming,
        )

    def _shards_of(self, member: Member) -> list[_Shard]:
        return [shard for shard in self._running.values() if shard.member is member]

    def _expected_tokens(self, terms: _Terms) -> float:
        return terms.expected_tokens(self._lengths.value)

    def _pace(self, member: Member) -> Pace:
        return self._paces.setdefault(member, Pace())

    def _send_share(self, member: Member, terms: _Terms, share: list[Ticket]) -> None:
        """In many requests, so that what is finished is kept, and fewer where many are under way."""
        terms.writers.add(member)
        going = set(share)
        self._waiting = [ticket for ticket in self._waiting if ticket not in going]
        hold = in_background(self._roster.hold, member, terms.oldest)
        num_requests = min(MOST_REQUESTS, MOST_CONNECTIONS - len(self._shards_of(member)))
        for part in split(share, max(1, num_requests)):
            self._send(_Shard(member, terms, part, hold))

    def _send(self, shard: _Shard) -> None:
        for ticket in shard.tickets:
            if ticket.sends == MOST_SENDS:
                raise GeneratorsLost(
                    f"a prompt of {len(ticket.prompt)} tokens was sent to a generator {MOST_SENDS} times, and each time it "
                    f"failed ({self._roster.describe()}); look at the generators' logs, and take the prompt out of the data "
                    "set if it is what ends them."
                )
            ticket.sends += 1
        request = in_background(self._complete, shard)
        self._running[request] = shard
        self._pace(shard.member).sent(request, time.perf_counter())

    def _complete(self, shard: _Shard) -> Groups:
        hold = shard.hold.result()
        prompts, terms = [ticket.prompt for ticket in shard.tickets], shard.terms
        try:
            with self._observer.asking():
                return shard.member.generator.complete(prompts, terms.num_generations, shard.sampling, hold.version)
        except GeneratorLost as error:
            self._roster.lose(shard.member, hold, error)
            raise

    def _settle(self, request: Future[Groups], shard: _Shard) -> bool:
        """Whether nothing failed; if the request was not answered, its groups wait again."""
        pace, name, now_s = self._pace(shard.member), shard.member.generator.name, time.perf_counter()
        try:
            groups = request.result()
        except GeneratorLost as error:
            if error.is_leaving or not shard.was_seen:
                self._take_back(shard)
            self._waiting = [*(ticket for ticket in shard.tickets if ticket.is_wanted), *self._waiting]
            self._observer.wrote(name, 0, pace.failed(request, now_s))
            return error.is_leaving
        num_tokens = 0
        longest = max(len(completion.token_ids) for group in groups for completion in group)
        for ticket, completions in zip(shard.tickets, groups, strict=True):
            ticket.completions = completions
            num_tokens_of_group = sum(len(completion.token_ids) for completion in completions)
            self._lengths.add(num_tokens_of_group / len(completions))
            self._longest.add(longest)
            num_tokens += num_tokens_of_group
        self._observer.completed(name, shard.num_sequences)
        self._observer.wrote(name, num_tokens, pace.answered(request, num_tokens, now_s))
        return True

    def _take_back(self, shard: _Shard) -> None:
        """The generator has not looked at them: it leaves, or was gone before."""
        for ticket in shard.tickets:
            ticket.sends -= 1

    def _check_deserted(self) -> None:
        if self._running or not self._waiting or any(self._roster.holding(of.terms.oldest) for of in self._waiting):
            self._deserted_since = None
            return
        if self._deserted_since is None:
            self._deserted_since = time.monotonic()
        if time.monotonic() - self._deserted_since > self._generators_s:
            raise GeneratorsLost(
                f"no generator was there for {self._generators_s:.0f} s ({self._roster.describe()}); look at the run's "
                "condition GeneratorsReady and at the generators' logs."
            )
