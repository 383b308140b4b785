"""A FleetObserver that remembers what it was told."""

import threading
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from grpo_trainer.fleet.observer import GeneratorState, GeneratorStatus
from grpo_trainer.fleet.update import Update


class RecordingObserver:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.versions: list[str] = []
        self.synced_bytes: dict[str, list[int]] = {}
        self.sync_failures: Counter[str] = Counter()
        self.groups_failed_over = 0
        self.under_way = 0
        self.completions: Counter[str] = Counter()
        self.tokens: Counter[str] = Counter()
        self.busy_s: defaultdict[str, float] = defaultdict(float)
        self.latest: dict[str, GeneratorState] = {}

    def published(self, version: str, count: int) -> None:
        self.versions.append(version)
        assert count == len(self.versions)

    def synced(self, generator: str, update: Update) -> None:
        assert update.seconds > update.pause_s > 0
        with self.lock:
            self.synced_bytes.setdefault(generator, []).append(update.size_bytes)

    def sync_failed(self, generator: str) -> None:
        with self.lock:
            self.sync_failures[generator] += 1

    def failed_over(self, num_groups: int) -> None:
        with self.lock:
            self.groups_failed_over += num_groups

    @contextmanager
    def asking(self) -> Iterator[None]:
        with self.lock:
            self.under_way += 1
        try:
            yield
        finally:
            with self.lock:
                self.under_way -= 1

    def completed(self, generator: str, num_completions: int) -> None:
        with self.lock:
            self.completions[generator] += num_completions

    def wrote(self, generator: str, num_tokens: int, seconds: float) -> None:
        with self.lock:
            self.tokens[generator] += num_tokens
            self.busy_s[generator] += seconds

    def states(self, generators: Sequence[GeneratorStatus]) -> None:
        self.latest = {status.name: status.state for status in generators}
