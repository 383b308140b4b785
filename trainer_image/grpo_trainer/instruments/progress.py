"""How far the run is: one `Progress`, written by the training thread and the fleet's, read by the exporter's."""

import threading
from collections import deque
from datetime import UTC, datetime
from typing import Any, Final

from grpo_contract.metrics import StartupPart
from grpo_contract.progress import Progress, Stage
from grpo_trainer.instruments.startup import StartupClock, now

WINDOW_STEPS: Final = 10
ENDED_BY: Final = {Stage.WAITING_FOR_GENERATORS: StartupPart.MODEL, Stage.TRAINING: StartupPart.GENERATORS}
"""{stage: the part of the start that ends when it begins}"""


class ProgressBoard:
    """Holds the newest Progress; each change makes a new object, so a reader never sees half of one."""

    def __init__(self, attempt: int, startup: StartupClock | None = None) -> None:
        self._lock = threading.Lock()
        self.startup = startup or StartupClock(now())
        self._progress = Progress(attempt=attempt, stage=Stage.LOADING)
        self._handed_out: Progress | None = None

    def read(self) -> Progress:
        return self._progress

    def hand_out(self) -> Progress:
        """To who asks for it from outside."""
        self._handed_out = self._progress
        return self._handed_out

    def has_handed_out(self, field: str) -> bool:
        """What that field holds now."""
        handed_out = self._handed_out
        return handed_out is not None and getattr(handed_out, field) == getattr(self._progress, field)

    def update(self, **changes: Any) -> None:
        """Replace whole fields of Progress."""
        with self._lock:
            self._progress = self._progress.model_copy(update=changes)
            if (part := ENDED_BY.get(changes.get("stage", Stage.LOADING))) is not None:
                self.startup.end(part, now())

    def update_part(self, part: str, **changes: Any) -> None:
        """Replace fields of one of Progress's parts, such as `progress` or `metrics`."""
        with self._lock:
            value = getattr(self._progress, part).model_copy(update=changes)
            self._progress = self._progress.model_copy(update={part: value})


class Pace:
    """Seconds per step and tokens per second over the last WINDOW_STEPS steps, checkpoints included.

    Waits for a generator are not, nor are evaluations: they say nothing of the steps that are left. An attempt's first step also brings the
    first weights to the generators: it counts only while it is the only one.
    """

    def __init__(self, started: float) -> None:
        self._ends: deque[tuple[float, int]] = deque([(started, 0)], maxlen=WINDOW_STEPS + 1)
        self._num_steps = 0
        self._waited_s = 0.0

    def paused(self, seconds: float) -> None:
        """Between steps, for an evaluation."""
        self._waited_s += seconds

    def step_ended(self, now: float, completion_tokens: int, waited_s: float) -> None:
        """`waited_s`: of this step, without any generator."""
        self._num_steps += 1
        self._waited_s += waited_s
        if self._num_steps == 2:
            self._ends.popleft()
        self._ends.append((now - self._waited_s, completion_tokens))

    def eta_s(self, steps_left: int) -> float | None:
        pace = self.seconds_per_step
        return None if pace is None or self._num_steps < 2 else pace * steps_left

    @property
    def seconds_per_step(self) -> float | None:
        steps = len(self._ends) - 1
        return self._seconds / steps if steps else None

    @property
    def tokens_per_second(self) -> float | None:
        tokens = sum(tokens for _, tokens in list(self._ends)[1:])
        return tokens / self._seconds if tokens and self._seconds else None

    @property
    def _seconds(self) -> float:
        return self._ends[-1][0] - self._ends[0][0]


def time_now() -> str:
    """RFC 3339, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
