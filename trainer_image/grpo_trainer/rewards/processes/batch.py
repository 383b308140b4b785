"""What one function says of a batch, put together from calls in several processes."""

import pickle
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from grpo_trainer.rewards.processes.division import Places, chunked
from grpo_trainer.rewards.processes.messages import Call, Mishap, Outcome, Training


class Batch:
    """`done` has the outcome for all completions, once every call is settled."""

    def __init__(
        self,
        function: str,
        columns: Mapping[str, Sequence[Any]],
        trainer_state: Mapping[str, Any] | None,
        calls: Sequence[Places],
        ends_at: float,
    ) -> None:
        self.function = function
        self.columns = columns
        self.trainer_state = trainer_state
        self.ends_at = ends_at
        self.done: Future[Outcome] = Future()
        self._open = {places[0]: places for places in calls}
        self._outcome = Outcome([None] * sum(map(len, calls)))
        self._lock = threading.Lock()
        self.jobs = [Job(self, tuple(chunk)) for chunk in chunked(calls)]

    @property
    def num_logs(self) -> int:
        return len(self.trainer_state["log_history"]) if self.trainer_state else 0

    def training(self, num_logs_known: int) -> Training | None:
        if self.trainer_state is None:
            return None
        fields = {name: value for name, value in self.trainer_state.items() if name != "log_history"}
        return Training(fields, self.trainer_state["log_history"][num_logs_known:])

    def settle(self, places: Places, outcome: Outcome) -> None:
        """The first word on a call counts."""
        with self._lock:
            if self._open.pop(places[0], None) is None:
                return
            for number, place in enumerate(places):
                self._outcome.scores[place] = outcome.scores[number]
                if number in outcome.mishaps:
                    self._outcome.mishaps[place] = outcome.mishaps[number]
            self._outcome.logged += outcome.logged
            is_done = not self._open
        if is_done:
            self.done.set_result(self._outcome)

    def give_up(self, mishap: Mishap) -> None:
        """Settle what is open."""
        for places in list(self._open.values()):
            self.settle(places, Outcome.without_scores(len(places), mishap))


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
        places = [place for call in self.calls for place in call]
        columns = {name: [values[place] for place in places] for name, values in self.batch.columns.items()}
        return pickle.dumps(Call(self.batch.function, self.sizes, columns, self.batch.training(num_logs_known)))

    def give_up(self, mishap: Mishap) -> None:
        for places in self.calls:
            self.batch.settle(places, Outcome.without_scores(len(places), mishap))

    def without(self, num_calls: int) -> "Job":
        """What is left to do after its first calls."""
        return Job(self.batch, self.calls[num_calls:])
