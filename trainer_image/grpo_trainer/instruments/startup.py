"""Where the time from the start of a learner's container to the end of its first training step goes.

Seconds are of one clock, which all processes of a machine share and which the kernel dates their starts by.
"""

import os
import time
from pathlib import Path
from typing import Final

from grpo_contract import environment
from grpo_contract.metrics import StartupPart
from grpo_trainer.instruments.main_thread import MAIN_THREAD

START_FIELD: Final = 19
"""Of /proc/<pid>/stat, counted from behind the name, which may hold spaces: the start in clock ticks."""


class StartupClock:
    """Parts follow each other: each lasts from the end of the one before it. Each ends once."""

    def __init__(self, started: float) -> None:
        self._ended = started
        self.seconds: dict[StartupPart, float] = {}

    def end(self, part: StartupPart, now: float) -> None:
        """What comes after the first step, or once more, belongs to no start."""
        MAIN_THREAD.gets_on()
        if part in self.seconds or self.is_over:
            return
        self.seconds[part] = now - self._ended
        self._ended = now

    @property
    def is_over(self) -> bool:
        return StartupPart.FIRST_STEP in self.seconds


def now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def started_at() -> float:
    """When this process started, to a clock tick (10 ms)."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    return int(fields[START_FIELD]) / os.sysconf("SC_CLK_TCK")


def launched_at() -> float:
    """When this container's launcher started; of a process without one, when that did."""
    told = os.environ.get(environment.LAUNCHED_AT)
    return started_at() if told is None else float(told)


def described(seconds: dict[StartupPart, float]) -> str:
    parts = ", ".join(f"{part} {part_s:.1f}" for part, part_s in seconds.items())
    return f"the first step was done {sum(seconds.values()):.1f} s after the container's start: {parts}"
