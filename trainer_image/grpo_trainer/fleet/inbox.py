"""The completions of one rank, by batch, as they come."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from grpo_contract.failure import Failure, PodReason, RunFailure, UserError
from grpo_trainer.end_request import AskedToEnd
from grpo_trainer.fleet.completion import Completion
from grpo_trainer.fleet.errors import GeneratorsLost

MEANWHILE_S: Final = 1.0
"""How often whoever waits looks for something else to do."""

Batch = str
"""Name of the prompts that one call of TRL's wants completions of."""

Delivery = Mapping[int, Completion]
"""By their places in the batch of this rank."""

Told = Callable[[Batch, Mapping[int, list[int]]], None]
"""Takes tokens of completions, by their places in the batch."""


@dataclass
class _Expected:
    size: int
    there: dict[int, Completion] = field(default_factory=dict)
    is_complete: bool = False
    """On all ranks, or on its way to them."""
    failure: Failure | None = None

    @property
    def is_settled(self) -> bool:
        return self.is_complete or self.failure is not None


class Inbox:
    """`deliver`, `complete`, `fail` and `break_down` are called in another thread than the rest."""

    def __init__(self) -> None:
        self.told: Told = lambda batch, completions: None
        """Called for what comes, in the thread that brings it."""
        self.num_heard = 0
        """Messages from rank 0, signs of life included."""
        self._expected: dict[Batch, _Expected] = {}
        self._changed = threading.Condition()
        self._broken: RunFailure | None = None

    def expect(self, batch: Batch, size: int) -> None:
        with self._changed:
            self._expected[batch] = _Expected(size)

    def deliver(self, batch: Batch, delivery: Delivery) -> None:
        """What comes of a batch that nobody expects (any more) is left."""
        expected = self._expected.get(batch)
        if expected is None:
            return
        self.told(batch, {place: completion.token_ids for place, completion in delivery.items()})
        with self._changed:
            expected.there.update(delivery)

    def complete(self, batch: Batch) -> None:
        """All of its completions are with their ranks, or on their way to them."""
        with self._changed:
            if (expected := self._expected.get(batch)) is not None:
                expected.is_complete = True
            self._changed.notify_all()

    def fail(self, failure: Failure) -> None:
        """Of all batches that are not complete."""
        with self._changed:
            for expected in self._expected.values():
                if not expected.is_settled:
                    expected.failure = failure
            self._changed.notify_all()

    def break_down(self, error: RunFailure) -> None:
        """Nothing will come any more."""
        with self._changed:
            self._broken = error
            self._changed.notify_all()

    def take(self, batch: Batch, meanwhile: Callable[[], None] = lambda: None) -> Sequence[Completion]:
        """All of its completions, in the order of their places, once those of the other ranks are written too: next all
        meet in a collective, whose time-out is none of the fleet's. The fleet has a deadline for everything that this waits
        for. `meanwhile` is called now and then.

        Raises:
            GeneratorsLost, UserError, RunFailure: they will not come.
        """
        expected = self._expected[batch]
        with self._changed:
            while not self._changed.wait_for(lambda: expected.is_settled or self._broken is not None, MEANWHILE_S):
                meanwhile()
            if not expected.is_settled and self._broken is not None:
                raise self._broken
            del self._expected[batch]
        if expected.failure is not None:
            raise _error(expected.failure)
        return [expected.there[place] for place in range(expected.size)]

    def forget(self) -> None:
        """All that is expected."""
        with self._changed:
            self._expected = {}


def _error(failure: Failure) -> Exception:
    if failure.reason == PodReason.GENERATORS_LOST:
        return GeneratorsLost(failure.message)
    if failure.reason == PodReason.LEARNER_ASKED_TO_END:
        return AskedToEnd(failure.message)
    kind = UserError if failure.reason == PodReason.INVALID_RECIPE else RunFailure
    return kind(failure.reason, failure.message)
