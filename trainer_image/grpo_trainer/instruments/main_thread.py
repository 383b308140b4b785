"""What the main thread of a learner process is doing, and whether it gets on with it. Any thread may look."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Step(StrEnum):
    """In the words of a message: "while ..."."""

    RENDEZVOUS = "waiting for the other learner processes"
    LOAD = "loading"
    LEARN = "learning"
    GENERATE = "waiting for completions"
    WEIGHT_SYNC = "waiting for generators to take new weights"
    CHECKPOINT = "saving"
    END = "waiting for the end of the others"


@dataclass(frozen=True, eq=False)
class Doing:
    """One of them differs from all others: the main thread has got further when there is another one."""

    step: Step
    sign: Callable[[], int] = lambda: 0
    """Changes whenever what it waits for gets on."""


class MainThread:
    """Only the main thread says what it does."""

    def __init__(self) -> None:
        self.doing = Doing(Step.LOAD)

    def gets_on(self) -> None:
        """With what it is doing."""
        self.doing = Doing(self.doing.step, self.doing.sign)

    def has_loaded(self) -> None:
        """From here on it learns, when it does nothing else."""
        if self.doing.step is Step.LOAD:
            self.doing = Doing(Step.LEARN)

    @contextmanager
    def within(self, step: Step, sign: Callable[[], int] = lambda: 0) -> Iterator[None]:
        before = self.doing
        self.doing = Doing(step, sign)
        try:
            yield
        finally:
            self.doing = Doing(before.step, before.sign)


MAIN_THREAD: Final = MainThread()
"""A process has one."""
