"""Answers of a generator that may take long are waited for as long as it answers anything: one that hangs is lost long before
the deadline of what it was asked for."""

import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any, Final, TypeVar

from grpo_trainer.fleet.background import in_background
from grpo_trainer.fleet.errors import GeneratorLost

ASKED_EVERY_S: Final = 5.0
"""Whether it answers, while something is waited for."""
MOST_MISSED: Final = 2
"""Such questions in a row. Its server's process has time for them whatever its engine does."""

T = TypeVar("T")


class Patience:
    """With one generator. Any thread may wait; they share the questions."""

    def __init__(self, answers: Callable[[], bool]) -> None:
        """`answers` asks a small question, and comes to an end by itself."""
        self._answers = answers
        self._lock = threading.Lock()
        self._asked_at_s = -math.inf
        self._question: Future[bool] = Future()
        self._question.set_result(True)

    def wait_for(self, answer: Future[T], what: str, is_silent: Callable[[], bool] = lambda: False) -> T:
        """`is_silent`: whether it takes no part in what the answer will be about, though it may answer other questions.

        Raises:
            GeneratorLost: it hangs.
        """
        missed = 0
        while not wait([answer], ASKED_EVERY_S).done:
            if is_silent():
                raise GeneratorLost(f"{what}: it answers other questions, and takes no part in this")
            question = self._ask()
            either: list[Future[Any]] = [answer, question]
            wait(either, return_when=FIRST_COMPLETED)
            if answer.done():
                break
            missed = 0 if question.result() else missed + 1
            if missed == MOST_MISSED:
                raise GeneratorLost(f"{what}: it hangs, and answers nothing else either")
        return answer.result()

    def _ask(self) -> Future[bool]:
        """A new question, unless one is under way or was asked just now."""
        with self._lock:
            if self._question.done() and time.monotonic() >= self._asked_at_s + ASKED_EVERY_S:
                self._question, self._asked_at_s = in_background(self._answers), time.monotonic()
            return self._question
