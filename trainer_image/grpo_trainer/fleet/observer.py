"""What the fleet tells about itself. The exporter implements FleetObserver; the fleet knows nothing of metrics."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from grpo_trainer.fleet.update import Update


class GeneratorState(StrEnum):
    """The values of grpo_generators{state}; a generator is in exactly one."""

    READY = "ready"
    """It answers, and does not hold the weights that completions are wanted of (yet), or was asked to end."""
    IN_SYNC = "in_sync"
    """It holds the current weights, or such as are no older than they may be."""
    LOST = "lost"
    """It has an address and does not answer: it is starting, dead or hung."""


@dataclass(frozen=True)
class GeneratorStatus:
    name: str
    """Of its pod; its address until it answered for the first time."""
    state: GeneratorState


class FleetObserver(Protocol):
    """Called from any thread, so implementations must be thread-safe; a slow one delays the fleet."""

    def published(self, version: str, count: int) -> None:
        """A new version of the weights is wanted; `count` versions were published by this process."""

    def synced(self, generator: str, update: Update) -> None:
        """A generator took the current weights."""

    def sync_failed(self, generator: str) -> None:
        """An update of a generator that answered did not end well."""

    def failed_over(self, num_groups: int) -> None:
        """Groups whose generator failed will be sent to another one."""

    def asking(self) -> AbstractContextManager[None]:
        """A request for completions is under way as long as this lasts. There are several at a time."""

    def completed(self, generator: str, num_completions: int) -> None:
        """Completions were taken from a generator, sampled from the wanted weights."""

    def wrote(self, generator: str, num_tokens: int, seconds: float) -> None:
        """A request to a generator ended, with so many tokens of completions; 0 when it failed. `seconds`: since the last
        one did, but only those in which the generator had something to write."""

    def states(self, generators: Sequence[GeneratorStatus]) -> None:
        """All generators that the fleet knows, after something changed or might have."""
