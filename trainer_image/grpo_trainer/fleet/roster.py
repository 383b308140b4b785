"""Which generators there are and which of them hold the newest weights.

A generator that has not the newest is brought up in the background: it must not delay those that have. One that was in sync
once belongs to the fleet, and a sync waits for it until it has the new weights or is lost.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Final

from grpo_trainer.fleet.background import in_background
from grpo_trainer.fleet.discovery import Discovery
from grpo_trainer.fleet.errors import GeneratorLost
from grpo_trainer.fleet.generator import Generator
from grpo_trainer.fleet.observer import FleetObserver, GeneratorState, GeneratorStatus
from grpo_trainer.fleet.update import WeightSource
from grpo_trainer.fleet.weights import count_of

LOOKUP_INTERVAL_S: Final = 1.0
RETRY_S: Final = (1.0, 2.0, 4.0, 8.0, 15.0)
"""Until a generator is asked again, by how often it failed in a row."""
DOWN_RETRY_S: Final = 1.0
"""Until one that is down is."""

Connect = Callable[[str], Generator]
"""By base URL."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Hold:
    """That a generator holds weights: from an update on until it is lost."""

    version: str
    spell: list[str]
    """Of the generator, in which it has them."""


class Member:
    """A generator and what the fleet remembers of it."""

    def __init__(self, generator: Generator) -> None:
        self.generator = generator
        self.lock = threading.Lock()
        """Held while new weights are on their way to it and swapped: one update at a time."""
        self.counting = threading.Lock()
        """Held for a moment while a failure is counted."""
        self.bringing_up: Future[None] | None = None
        self.answers = False
        self.failures = 0
        self.retry_at = 0.0
        self.last_error = "not asked yet"

    @property
    def is_busy(self) -> bool:
        return self.bringing_up is not None and not self.bringing_up.done()

    @property
    def is_due(self) -> bool:
        return not self.is_busy and time.monotonic() >= self.retry_at


class Roster:
    """Used from one thread; only `hold` and `lose` run in others."""

    def __init__(
        self,
        discovery: Discovery,
        weights: WeightSource,
        connect: Connect,
        observer: FleetObserver,
        oldest_taken: Callable[[], int | None] = lambda: None,
    ) -> None:
        """`oldest_taken` says which version of the weights completions are still taken of; None: the newest. Versions are
        counted."""
        self._discovery = discovery
        self._weights = weights
        self._connect = connect
        self._observer = observer
        self._oldest_taken = oldest_taken
        self._members: dict[str, Member] = {}
        self._looked_at = -LOOKUP_INTERVAL_S

    @property
    def newest(self) -> int:
        """Version of the weights; versions are counted."""
        return count_of(self._weights.version)

    def holding(self, oldest: int) -> list[Member]:
        """Whose weights are of that version, or of a later one; versions are counted."""
        return [member for member in self._staying() if member.generator.holds_since(oldest)]

    def coming(self, oldest: int) -> list[Member]:
        """Who belongs to the fleet and has not those weights yet, but is on its way to them."""
        return [
            member
            for member in self._staying()
            if member.is_busy and member.generator.held_version is not None and not member.generator.holds_since(oldest)
        ]

    def bringing_up(self) -> list[Future[None]]:
        return [member.bringing_up for member in self._members.values() if member.bringing_up and member.is_busy]

    def look_around(self) -> None:
        """Take note of new and vanished addresses, and start bringing up whoever has not the newest weights."""
        if time.monotonic() - self._looked_at >= LOOKUP_INTERVAL_S:
            self._looked_at = time.monotonic()
            self._look_up()
        for member in self._members.values():
            if member.is_due and (member.generator.is_leaving or not self._has_newest(member)):
                self._start(member)
        self.tell()

    def tell(self) -> None:
        """How the generators are."""
        self._observer.states([self._status(member) for member in self._members.values()])

    def sync(self) -> None:
        """Give the newest weights to the generators of the fleet; newcomers and lost ones join later."""
        belonging = [member for member in self._members.values() if member.generator.held_version is not None]
        wait([member.bringing_up for member in belonging if member.bringing_up])
        still_belonging = [member for member in belonging if member.generator.held_version is not None]
        wait([self._start(member) for member in still_belonging if not self._has_newest(member)])
        self.look_around()

    def hold(self, member: Member, oldest: int) -> Hold:
        """See to it that it holds weights that are not before that version: if need be, the newest; the observer knows how
        that went.

        Raises:
            GeneratorLost: it does not hold them.
        """
        try:
            version = self._held(member.generator, oldest)
            if version is None:
                with member.lock:
                    version = self._held(member.generator, oldest) or self._update(member.generator)
        except GeneratorLost as error:
            with member.counting:
                self._count_failure(member, error)
            raise
        member.answers, member.failures = True, 0
        return Hold(version, member.generator.spell)

    def lose(self, member: Member, hold: Hold, error: GeneratorLost) -> None:
        """A request under that hold failed. Of several, the first one counts: the generator is asked again after a while,
        and what the others say later must not take away what it was given since. One that leaves has lost nothing."""
        if error.is_leaving:
            return
        generator = member.generator
        with member.counting:
            if generator.held_version is not None and generator.spell is hold.spell:
                generator.forget_version()
                self._count_failure(member, error)

    def describe(self) -> str:
        """Why there is no generator, for people."""
        if not self._members:
            return "no generator has an address"
        return "; ".join(f"{member.generator.name}: {member.last_error}" for member in self._members.values())

    def _look_up(self) -> None:
        urls = self._discovery.urls()
        for url in self._members.keys() - set(urls):
            logger.info("generator %s has left", self._members.pop(url).generator.name)
        for url in urls:
            if url not in self._members:
                self._members[url] = Member(self._connect(url))

    def _start(self, member: Member) -> Future[None]:
        member.bringing_up = in_background(self._bring_up, member)
        return member.bringing_up

    def _bring_up(self, member: Member) -> None:
        with contextlib.suppress(GeneratorLost):  # the member remembers it
            self.hold(member, self.newest)

    def _held(self, generator: Generator, oldest: int) -> str | None:
        """The version that it holds, if that is new enough. Also while an update is under way.

        Raises:
            GeneratorLost: it cannot be reached, or is not to be given anything more.
        """
        known = generator.held_version
        version = known if known is not None and count_of(known) >= oldest else self._weights.version
        holds = generator.holds(version)
        if generator.is_leaving:
            raise GeneratorLost("it is asked to end, and finishes what it is writing", is_leaving=True)
        return version if holds else None

    def _update(self, generator: Generator) -> str:
        try:
            update = generator.update(self._weights)
        except GeneratorLost:
            self._observer.sync_failed(generator.name)
            raise
        self._observer.synced(generator.name, update)
        logger.info("generator %s holds weights %s", generator.name, update.version)
        return update.version

    def _count_failure(self, member: Member, error: GeneratorLost) -> None:
        if member.failures == 0:
            logger.warning("generator %s cannot be used: %s", member.generator.name, error)
        member.answers = error.is_leaving
        member.last_error = str(error)
        if error.is_down:  # which it may be for many tries, and says nothing of the time after it
            pause_s, member.failures = DOWN_RETRY_S, max(member.failures, 1)
        else:
            pause_s, member.failures = RETRY_S[min(member.failures, len(RETRY_S) - 1)], member.failures + 1
        member.retry_at = time.monotonic() + pause_s

    def _staying(self) -> list[Member]:
        """Who may be given something to write."""
        return [member for member in self._members.values() if not member.generator.is_leaving]

    def _has_newest(self, member: Member) -> bool:
        return member.generator.held_version == self._weights.version

    def _status(self, member: Member) -> GeneratorStatus:
        oldest = self._oldest_taken()
        is_new_enough = member.generator.holds_since(self.newest if oldest is None else oldest)
        if is_new_enough and not member.generator.is_leaving:
            state = GeneratorState.IN_SYNC
        else:
            state = GeneratorState.READY if member.answers else GeneratorState.LOST
        return GeneratorStatus(member.generator.name, state)
