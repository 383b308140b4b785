"""What one function says of a batch, put together from calls in several processes."""

import math
import pickle
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import chain
from typing import Any

from grpo_trainer.rewards.processes.division import Division, Places, first_chunk
from grpo_trainer.rewards.processes.messages import Call, Mishap, Outcome, Training


class Batch:
    """`done` has the outcome for all completions, once every call is settled.

    Completions may come one after the other. A part of the division is ready once all of its completions are there.
    """

    def __init__(
        self,
        function: str,
        columns: Mapping[str, Sequence[Any]],
        trainer_state: Mapping[str, Any] | None,
        division: Division,
    ) -> None:
        """`columns`: what is known before there are completions, an entry for each of them."""
        self.function = function
        self.trainer_state = trainer_state
        self.num_logs = len(trainer_state["log_history"]) if trainer_state else 0
        """Entries of the log that the function is told of. There may be more of them by then."""
        self.ends_at = math.inf
        """When all of it has to be done; while completions are still to come, only each call has a deadline."""
        self.done: Future[Outcome] = Future()
        self._columns: dict[str, Any] = dict(columns)
        self._joins = division.joins
        self._there: set[int] = set()
        self._incomplete = list(division.parts)
        self._ready: list[Places] = []
        self._open = {place for part in division.parts for place in part}
        self._outcome = Outcome([None] * len(self._open))
        self._lock = threading.Lock()

    @property
    def has_ready(self) -> bool:
        return bool(self._ready)

    def training(self, num_logs_known: int) -> Training | None:
        if self.trainer_state is None:
            return None
        fields = {name: value for name, value in self.trainer_state.items() if name != "log_history"}
        return Training(fields, self.trainer_state["log_history"][num_logs_known : self.num_logs])

    def add(self, places: Sequence[int], columns: Mapping[str, Sequence[Any]]) -> None:
        """Completions that are there now, or were before: `columns` has an entry for each place, in their order."""
        with self._lock:
            for name, values in columns.items():
                column = self._columns.setdefault(name, [None] * len(self._outcome.scores))
                for place, value in zip(places, values, strict=True):
                    assert place not in self._there or column[place] == value, (
                        f"{self.function} was given {column[place]!r:.200} in {name}, and learnt from is {value!r:.200}"
                    )
                    column[place] = value
            self._there.update(places)
            self._ready += [part for part in self._incomplete if self._there.issuperset(part)]
            self._incomplete = [part for part in self._incomplete if not self._there.issuperset(part)]

    def rows(self, places: Places) -> dict[str, list[Any]]:
        return {name: [values[place] for place in places] for name, values in self._columns.items()}

    def next_job(self) -> "Job | None":
        """Of what is ready. Parts that are joined are called for together, and while others are to come one such call is
        made at a time: what comes meanwhile is the next one."""
        with self._lock:
            if not self._ready or (self._joins and self._incomplete and self._is_called()):
                return None
            parts = self._ready if self._joins else first_chunk(self._ready)
            self._ready = self._ready[len(parts) :]
        return Job(self, (sorted(chain(*parts)),) if self._joins else tuple(parts))

    def _is_called(self) -> bool:
        return len(self._open) > sum(map(len, self._incomplete)) + sum(map(len, self._ready))

    def put_back(self, calls: Sequence[Places]) -> None:
        with self._lock:
            self._ready = [*calls, *self._ready]

    def settle(self, places: Places, outcome: Outcome) -> None:
        """The first word on a completion counts."""
        with self._lock:
            self._take(places, outcome)

    def give_up(self, mishap: Mishap) -> None:
        """Settle what is open."""
        with self._lock:
            places = sorted(self._open)
            self._take(places, Outcome.without_scores(len(places), mishap))

    def _take(self, places: Places, outcome: Outcome) -> None:
        fresh = [(number, place) for number, place in enumerate(places) if place in self._open]
        if not fresh:
            return
        for number, place in fresh:
            self._open.remove(place)
            self._outcome.scores[place] = outcome.scores[number]
            if number in outcome.mishaps:
                self._outcome.mishaps[place] = outcome.mishaps[number]
            for name, values in outcome.extras.items():
                column = self._outcome.extras.setdefault(name, [None] * len(self._outcome.scores))
                column[place] = values[number]
        self._outcome.metrics += outcome.metrics
        if not self._open:
            self.done.set_result(self._outcome)


@dataclass(frozen=True)
class Job:
    """Calls that go to one process together."""

    batch: Batch
    calls: tuple[Places, ...]

    @property
    def sizes(self) -> list[int]:
        return [len(places) for places in self.calls]

    def message(self, num_logs_known: int) -> bytes:
        """A pickled Call, to a process that knows so many entries of the log."""
        columns = self.batch.rows(list(chain(*self.calls)))
        return pickle.dumps(Call(self.batch.function, self.sizes, columns, self.batch.training(num_logs_known)))

    def give_up(self, mishap: Mishap) -> None:
        for places in self.calls:
            self.batch.settle(places, Outcome.without_scores(len(places), mishap))
