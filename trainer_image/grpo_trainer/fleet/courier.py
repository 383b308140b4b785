"""Brings completions from the generators to the ranks that asked for them, in a thread of its own on each rank: also while
the main threads learn.

Rank 0's thread is the only one that uses the fleet.
"""

import contextlib
import logging
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from multiprocessing.connection import Connection
from typing import Any, Final

from grpo_contract.failure import Failure, PodReason, RunFailure, UserError
from grpo_trainer.causes import description
from grpo_trainer.fleet.errors import GeneratorsLost
from grpo_trainer.fleet.fleet import Fleet, Ticket
from grpo_trainer.fleet.inbox import Batch, Delivery, Inbox
from grpo_trainer.fleet.keep_alive import has_vanished
from grpo_trainer.fleet.wire import Exchange, Vanished

PORTION_S: Final = 1.0
"""How often finished groups of a batch go to the ranks; the last ones of it go at once."""
TOLD_WITHIN_S: Final = 10.0
"""Of a failure, until it comes to rank 0 itself; a rank may take nothing any more."""

log = logging.getLogger(__name__)


class _Open:
    """A batch whose completions are not all there."""

    def __init__(self, tickets: Sequence[Ticket], num_ranks: int) -> None:
        self.tickets = tickets
        num_completions = sum(ticket.terms.num_generations for ticket in tickets)
        self._of_rank = num_completions // num_ranks
        self._first_places = range(0, num_completions, tickets[0].terms.num_generations)
        self._sent: set[int] = set()

    @property
    def is_complete(self) -> bool:
        return len(self._sent) == len(self.tickets)

    def take_fresh(self) -> dict[int, dict[int, Any]]:
        """What came since the last call: completions by rank and place."""
        portions: dict[int, dict[int, Any]] = {}
        for number, (first, ticket) in enumerate(zip(self._first_places, self.tickets, strict=True)):
            if number in self._sent or ticket.completions is None:
                continue
            self._sent.add(number)
            for place, completion in enumerate(ticket.completions, start=first):
                rank, own = divmod(place, self._of_rank)
                portions.setdefault(rank, {})[own] = completion
        return portions


class Courier:
    """On rank 0. Of the first batch that is open, the last completions are brought at once."""

    def __init__(self, fleet: Fleet, inbox: Inbox, exchange: Exchange) -> None:
        self._fleet = fleet
        self._inbox = inbox
        self._exchange = exchange
        self._num_ranks = 1 + len(exchange.ranks)
        self._open: dict[Batch, _Open] = {}
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        threading.Thread(target=self._run, daemon=True, name="courier").start()

    @property
    def num_ended(self) -> int:
        """Requests for completions that were answered or have failed."""
        return self._fleet.num_ended

    def ask(self, batch: Batch, submit: Callable[[Fleet], Sequence[Ticket]], *, first: bool = False) -> None:
        """For completions of that batch. `first`: it is waited for before those that are open. Whoever expects it learns what
        goes wrong."""

        def submitted() -> None:
            asked = {batch: _Open(submit(self._fleet), self._num_ranks)}
            self._open = asked | self._open if first else self._open | asked

        self._soon(submitted)

    def tell_end(self, batch: Batch, call: Callable[[Fleet], None]) -> None:
        """With the fleet, in its thread: then that batch, which has no completions, is complete."""

        def carry_out() -> None:
            call(self._fleet)
            self._complete(batch)

        self._soon(carry_out)

    def break_off(self, batch: Batch, failure: Failure) -> None:
        """What ranks wait for, unless it is complete: then all of them go on with it."""

        def broken_off() -> None:
            if batch in self._open:
                self._tell_failure(failure)

        self._soon(broken_off)

    def _soon(self, call: Callable[[], None]) -> None:
        self._calls.put(call)
        self._fleet.wake()

    def forget(self, batches: Sequence[Batch]) -> None:
        """Returns when nobody will be told of their completions any more."""
        forgotten: Future[None] = Future()

        def carry_out() -> None:
            for batch in batches:
                if (known := self._open.pop(batch, None)) is not None:
                    self._fleet.abandon(known.tickets)
            forgotten.set_result(None)

        self._soon(carry_out)
        forgotten.result()

    def _run(self) -> None:
        while True:
            try:
                self._carry_out_calls()
                self._bring()
            except (GeneratorsLost, UserError) as error:
                self._tell_failure(error.failure)
            except Exception as error:  # outermost in this thread: the ranks would wait for what never comes
                log.exception("completions cannot be fetched")
                self._tell_failure(_broken(description(error)).failure)

    def _carry_out_calls(self) -> None:
        """What is there; where nothing else is to do, wait for something."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._calls.get(block=not self._open)()

    def _bring(self) -> None:
        if not self._open:
            return
        first = next(iter(self._open.values()))
        self._fleet.wait(first.tickets, PORTION_S)
        for batch, known in list(self._open.items()):
            portions = known.take_fresh()
            own = portions.pop(0, None)
            self._exchange.send({rank: (batch, portion) for rank, portion in portions.items()})
            if own:
                self._inbox.deliver(batch, own)
            if known.is_complete:
                del self._open[batch]
                self._complete(batch)

    def _complete(self, batch: Batch) -> None:
        self._exchange.send(dict.fromkeys(self._exchange.ranks, batch))
        self._inbox.complete(batch)

    def _tell_failure(self, failure: Failure) -> None:
        open_batches, self._open = self._open, {}
        for known in open_batches.values():
            self._fleet.abandon(known.tickets)
        told = self._exchange.send(dict.fromkeys(self._exchange.ranks, failure))
        wait(told, TOLD_WITHIN_S)  # what follows may be this process's end
        self._inbox.fail(failure)


def receive(connection: Connection, inbox: Inbox, silence_s: float, on_vanished: Vanished) -> None:
    """On each other rank: hand what rank 0 sends to its inbox, in the background."""

    def run() -> None:
        reason = PodReason.LEARNER_ERROR
        try:
            while connection.poll(silence_s):
                message: Failure | tuple[Batch, Delivery] | Batch | None = connection.recv()
                inbox.num_heard += 1
                match message:
                    case Failure():
                        inbox.fail(message)
                    case (batch, delivery):
                        inbox.deliver(batch, delivery)
                    case Batch():
                        inbox.complete(message)
            reason, why = PodReason.COLLECTIVE_TIMEOUT, f"has said nothing for {silence_s:g} s"
        except (OSError, EOFError) as error:
            if has_vanished(error):
                on_vanished(0)
            why = f"is gone ({description(error)})"
        except Exception as error:  # outermost in this thread
            log.exception("completions cannot be taken")
            why = f"sent what cannot be taken ({description(error)})"
        inbox.break_down(_broken(f"rank 0, which brings completions, {why}", reason))

    threading.Thread(target=run, daemon=True, name="receiver of completions").start()


def _broken(why: str, reason: PodReason = PodReason.LEARNER_ERROR) -> RunFailure:
    return RunFailure(reason, f"completions cannot be had: {why}.")
