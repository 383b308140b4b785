"""What the fleet of generators tells of itself, as metrics and progress."""

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from grpo_contract.progress import GeneratorProgress, Stage
from grpo_trainer.fleet.observer import GeneratorState, GeneratorStatus
from grpo_trainer.fleet.update import Update
from grpo_trainer.instruments.idleness import BusyTime
from grpo_trainer.instruments.metrics import LearnerMetrics
from grpo_trainer.instruments.progress import ProgressBoard

OF_A_GENERATOR: Final = (
    "grpo_generator_completions_total",
    "grpo_generator_tokens_total",
    "grpo_generator_busy_seconds_total",
)
"""From 0 on, once it may be asked for completions: else a rate misses what each one wrote first."""


class FleetReport:
    """A FleetObserver. Called from the training thread and the fleet's."""

    def __init__(self, metrics: LearnerMetrics, board: ProgressBoard) -> None:
        self.metrics = metrics
        self.board = board
        self._lock = threading.Lock()
        self._completions: Counter[str] = Counter()
        self._in_sync: dict[str, bool] = {}
        self._waiting_since: float | None = None
        self._waited_s = 0.0
        self._busy = BusyTime()
        self.num_answering = 0
        """Generators that are not lost."""
        metrics.add("grpo_weight_sync_bytes_total", 0)
        metrics.add("grpo_weight_sync_failures_total", 0)
        metrics.add("grpo_generator_failovers_total", 0)
        for state in GeneratorState:
            metrics.set("grpo_generators", 0, state.value)

    def published(self, version: str, count: int) -> None:
        self.metrics.set("grpo_weight_version", count)
        self.board.update(weight_version=version)

    def synced(self, generator: str, update: Update) -> None:
        self.metrics.observe("grpo_weight_sync_seconds", update.seconds)
        self.metrics.observe("grpo_weight_swap_pause_seconds", update.pause_s)
        self.metrics.add("grpo_weight_sync_bytes_total", update.size_bytes)

    def sync_failed(self, generator: str) -> None:
        self.metrics.add("grpo_weight_sync_failures_total", 1)

    def failed_over(self, num_groups: int) -> None:
        self.metrics.add("grpo_generator_failovers_total", num_groups)

    @contextmanager
    def asking(self) -> Iterator[None]:
        self._busy.began(time.perf_counter())
        try:
            yield
        finally:
            self._busy.ended(time.perf_counter())

    def completed(self, generator: str, num_completions: int) -> None:
        self.metrics.add("grpo_generator_completions_total", num_completions, generator)
        with self._lock:
            self._completions[generator] += num_completions
            self.board.update(generators=self._progress())

    def wrote(self, generator: str, num_tokens: int, seconds: float) -> None:
        self.metrics.add("grpo_generator_tokens_total", num_tokens, generator)
        self.metrics.add("grpo_generator_busy_seconds_total", seconds, generator)

    def states(self, generators: Sequence[GeneratorStatus]) -> None:
        counts = Counter(generator.state for generator in generators)
        for state in GeneratorState:
            self.metrics.set("grpo_generators", counts[state], state.value)
        for generator in generators:
            if generator.state is GeneratorState.IN_SYNC:
                for counter in OF_A_GENERATOR:
                    self.metrics.add(counter, 0, generator.name)
        self.num_answering = len(generators) - counts[GeneratorState.LOST]
        with self._lock:
            self._in_sync = {generator.name: generator.state is GeneratorState.IN_SYNC for generator in generators}
            self._count_waiting()
            self.board.update(generators=self._progress())

    def take_waited_s(self) -> float:
        """Seconds in which all generators were lost, since the last call."""
        with self._lock:
            taken, self._waited_s = self._waited_s, 0.0
            return taken

    def take_busy_s(self) -> float:
        """Seconds in which at least one generator was asked for completions, since the last call."""
        return self._busy.take(time.perf_counter())

    def _count_waiting(self) -> None:
        anybody = self.num_answering > 0  # one on its way to newer weights is waited for as part of a step
        now = time.perf_counter()
        if self._waiting_since is not None:
            self._waited_s += now - self._waiting_since
        self._waiting_since = None if anybody else now
        stages = (Stage.WAITING_FOR_GENERATORS, Stage.TRAINING)
        if self.board.read().stage in stages:
            self.board.update(stage=stages[anybody])

    def _progress(self) -> list[GeneratorProgress]:
        """Those that are there, then those that left after they had written completions."""
        names = [*self._in_sync, *(name for name in self._completions if name not in self._in_sync)]
        return [
            GeneratorProgress(
                name=name,
                in_sync=self._in_sync.get(name, False),
                completions=self._completions[name],
                has_left=name not in self._in_sync,
            )
            for name in names
        ]
