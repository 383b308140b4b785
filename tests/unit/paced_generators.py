"""Generators of a set speed, played: a clock of their own, which moves only when all of them write."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from grpo_contract.config import Deadlines
from grpo_trainer.fleet.completion import Completion
from grpo_trainer.fleet.errors import GeneratorLost
from grpo_trainer.fleet.fleet import Fleet, Ticket
from grpo_trainer.fleet.generator import Generator
from grpo_trainer.fleet.roster import Roster
from grpo_trainer.fleet.update import Update, WeightSource
from grpo_trainer.fleet.weights import WeightServer
from harness.waiting import wait_for
from trainer.recording_observer import RecordingObserver

LENGTH: Final = 5
"""Tokens of each completion."""
WIDTH: Final = 1024
"""How many sequences a generator says that it writes at once."""
PATIENCE_S: Final = 10.0


@dataclass(eq=False)
class Request:
    prompts: list[list[int]]
    num_generations: int
    left: float
    """Tokens still to write."""
    ends: threading.Event = field(default_factory=threading.Event)
    fails: bool = False

    @property
    def num_sequences(self) -> int:
        return len(self.prompts) * self.num_generations


class PacedGenerator(Generator):
    """Takes weights as it should, and writes one request after the other, `speed` tokens a second."""

    def __init__(self, url: str, speed: float) -> None:
        super().__init__(url, lambda: "token", Deadlines())
        self.speed = speed
        self.width = WIDTH
        self.longest = LENGTH
        """Tokens of the last completion of each group; it takes no longer."""
        self.under_way: list[Request] = []
        self.sent: list[list[list[int]]] = []
        """Prompts of each request so far."""
        self.is_asked_to_end = False
        self.comes = threading.Event()
        """Cleared, an update lasts until it is set."""
        self.comes.set()

    def holds(self, version: str) -> bool:
        self.is_leaving = self.is_asked_to_end
        return self.held_version == version

    def update(self, weights: WeightSource) -> Update:
        version = weights.version
        assert self.comes.wait(timeout=PATIENCE_S)
        self.held_version = version
        return Update(version, 0.2, 0.1, 0)

    def complete(
        self, prompts: Sequence[list[int]], num_generations: int, sampling: Mapping[str, Any], version: str
    ) -> list[list[Completion]]:
        request = Request(list(prompts), num_generations, float(len(prompts) * num_generations * LENGTH))
        self.sent.append(request.prompts)
        self.under_way.append(request)
        assert request.ends.wait(timeout=PATIENCE_S)
        if request.fails:
            raise GeneratorLost("the engine died")
        lengths = [*[LENGTH] * (num_generations - 1), self.longest]
        return [[Completion(prompt * length, [0.0] * length) for length in lengths] for prompt in prompts]

    def die(self) -> None:
        """So that no other request comes."""
        for request in self.under_way:
            request.fails = True
            request.ends.set()
        self.under_way.clear()


class Played:
    """A fleet over such generators. Its clock is for time.perf_counter."""

    def __init__(self, weights: WeightServer, *speeds: float) -> None:
        self.now_s = 0.0
        self.observer = RecordingObserver()
        self.generators = {
            f"http://{name}": PacedGenerator(f"http://{name}", speed)
            for name, speed in zip("abcdefgh", speeds, strict=False)
        }
        self._weights = weights
        roster = Roster(self, weights, self.generators.__getitem__, self.observer)
        self.fleet = Fleet(roster, self.observer, generators_s=PATIENCE_S)
        wait_for("all are in sync", self._are_in_sync, PATIENCE_S, 0.01)

    def urls(self) -> list[str]:
        return list(self.generators)

    def _are_in_sync(self) -> bool:
        self.fleet.submit([], 1, {})  # looks around
        return len(self.observer.synced_bytes) == len(self.generators)

    def generator(self, name: str) -> PacedGenerator:
        return self.generators[f"http://{name}"]

    def has_newest(self, name: str) -> bool:
        return self.generator(name).holds(self._weights.version)

    def submit(self, num_groups: int, num_generations: int) -> list[Ticket]:
        return self.fleet.submit(
            [[number] for number in range(num_groups)], num_generations, {"max_tokens": 2 * LENGTH}
        )

    def write(self, num_groups: int, num_generations: int) -> dict[str, int]:
        """A batch. Groups that each generator wrote of it."""
        before = self.observer.completions.copy()
        tickets = self.submit(num_groups, num_generations)
        while not all(ticket.completions for ticket in tickets):
            self.write_on(tickets)
        return {
            name: (self.observer.completions[name] - before[name]) // num_generations
            for name in (generator.name for generator in self.generators.values())
        }

    def write_on(self, tickets: Sequence[Ticket]) -> None:
        """Until the next request is answered, and what follows of it is sent."""
        self.settle(tickets)
        busy = [generator for generator in self.generators.values() if generator.under_way]
        passing_s = min(generator.under_way[0].left / generator.speed for generator in busy)
        self.now_s += passing_s
        for generator in busy:
            request = generator.under_way[0]
            request.left -= passing_s * generator.speed
            if request.left < 1e-6:
                generator.under_way.remove(request)
                request.ends.set()
        self.settle(tickets)

    def settle(self, tickets: Sequence[Ticket]) -> None:
        """Until the fleet knows what was answered, and generators what was sent."""

        def is_settled() -> bool:
            self.fleet.wait(tickets, 0.001)
            running = list(self.fleet._running)
            num_under_way = sum(len(generator.under_way) for generator in self.generators.values())
            return num_under_way == len(running) and not any(request.done() for request in running)

        wait_for("all is sent and told", is_settled, PATIENCE_S, 0.001)
