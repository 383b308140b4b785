"""Where a training step's time goes: seconds per phase, measured on the training thread."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from grpo_contract.metrics import Phase
from grpo_trainer.instruments.main_thread import MAIN_THREAD


class PhaseClock:
    """Phases may nest: time inside an inner phase is not counted in the outer one.

    LEARN is what is left of a step: forward, backward and optimizer lie inside TRL and DeepSpeed, between the seams.
    """

    def __init__(self) -> None:
        self._seconds: defaultdict[Phase, float] = defaultdict(float)
        self._inner: list[float] = []
        self._step_started: float | None = None

    @contextmanager
    def phase(self, phase: Phase) -> Iterator[None]:
        started = time.perf_counter()
        self._inner.append(0.0)
        MAIN_THREAD.gets_on()
        try:
            yield
        finally:
            MAIN_THREAD.gets_on()
            elapsed = time.perf_counter() - started
            self._seconds[phase] += elapsed - self._inner.pop()
            if self._inner:
                self._inner[-1] += elapsed

    def start_step(self) -> None:
        self._step_started = time.perf_counter()

    def take(self, phase: Phase) -> float:
        """Seconds of a phase that is no part of a step."""
        return self._seconds.pop(phase, 0.0)

    def end_step(self, waited_s: float) -> tuple[float, dict[Phase, float]]:
        """Seconds of the step, and of each of its phases since the last one but for what was taken.

        `waited_s` were spent without any generator, inside of generation.
        """
        assert self._step_started is not None, "end_step without start_step"
        elapsed = time.perf_counter() - self._step_started
        spent, self._seconds = self._seconds, defaultdict(float)
        inside = sum(spent.values())
        waited = min(waited_s, spent[Phase.GENERATE])
        spent[Phase.GENERATE] -= waited
        return elapsed, {**spent, Phase.WAIT: waited, Phase.LEARN: max(0.0, elapsed - inside)}
