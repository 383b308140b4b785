"""Who waits for whom: learners for completions, or generators for something to write. Times are told by who measures them."""

import threading
from typing import Final

WEIGHT: Final = 0.1
"""Of a step in the means, once there are as many steps as that takes: they reach back about ten."""


class BusyTime:
    """How long anything at all was under way. Called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way = 0
        self._counted_to = 0.0
        self._seconds = 0.0

    def began(self, now: float) -> None:
        with self._lock:
            self._count(now)
            self._under_way += 1

    def ended(self, now: float) -> None:
        with self._lock:
            self._count(now)
            self._under_way -= 1

    def take(self, now: float) -> float:
        """Seconds since the last call."""
        with self._lock:
            self._count(now)
            taken, self._seconds = self._seconds, 0.0
            return taken

    def _count(self, now: float) -> None:
        if self._under_way:
            self._seconds += now - self._counted_to
        self._counted_to = now


class Balance:
    """Means over the last steps of an attempt. Its first also brings the first weights to the generators, and is no part of them."""

    def __init__(self) -> None:
        self._num_steps = 0
        self._step_s = 0.0
        self._learning_s = 0.0
        self._busy_s = 0.0
        self._generator_s = 0.0

    def step_ended(self, step_s: float, waited_s: float, busy_s: float, num_generators: int) -> None:
        """Of the step, learners waited for completions for `waited_s`, and so many generators had something to write for
        `busy_s`."""
        self._num_steps += 1
        if self._num_steps == 1:
            return
        weight = max(WEIGHT, 1 / (self._num_steps - 1))
        self._step_s += weight * (step_s - self._step_s)
        self._learning_s += weight * (step_s - waited_s - self._learning_s)
        self._busy_s += weight * (busy_s - self._busy_s)
        self._generator_s += weight * (busy_s * num_generators - self._generator_s)

    @property
    def generator_s(self) -> float | None:
        """Seconds of all generators together that a step takes: about the same whatever their number."""
        return self._generator_s if self._num_steps > 1 else None

    @property
    def learning_s(self) -> float | None:
        """Seconds of a step in which learners do not wait for completions."""
        return self._learning_s if self._num_steps > 1 else None

    @property
    def learner_idle_ratio(self) -> float | None:
        return self._ratio_without(self._learning_s)

    @property
    def generator_idle_ratio(self) -> float | None:
        return self._ratio_without(self._busy_s)

    def _ratio_without(self, busy_s: float) -> float | None:
        return max(0.0, 1 - busy_s / self._step_s) if self._step_s else None
