"""Rows that training will come to: what generators are to write completions of while learners learn.

A generation batch is what TRL wants completions of at once. Its data loader hands it out as often as it is learnt from, at
every micro-step: a batch of rows for a pass forward and backward. Micro-steps are counted over the whole run.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any

Rows = list[dict[str, Any]]
"""One for each completion of this rank."""


class RowsAhead:
    def __init__(self) -> None:
        self._read: dict[int, Rows] = {}
        """By micro-step, from the current one on."""
        self._iterator: Iterator[Rows] = iter(())
        """Of the current epoch."""
        self._next = 0
        """Micro-step of the rows that it gives next."""

    def take(self, iterator: Iterator[Rows], count: int, now: int) -> list[Rows]:
        """Of so many micro-steps, from `now` on; fewer where the iterator ends, which is of an epoch."""
        if iterator is not self._iterator:
            self._iterator, self._next = iterator, now
        self._read = {step: rows for step, rows in self._read.items() if now <= step < self._next}
        return [rows for step in range(now, now + count) if (rows := self.at(step)) is not None]

    def at(self, step: int) -> Rows | None:
        """None where the epoch ends before."""
        while self._next <= step:
            try:
                self._read[self._next] = next(self._iterator)
            except StopIteration:
                return None
            self._next += 1
        return self._read[step]

    def after_epoch(self, loader: Any, sampler: Any, step: int) -> Rows | None:
        """At a micro-step of the next epoch, once this one's rows were all read; None beyond that epoch. `sampler` is the
        loader's: whenever it begins, it draws an order from its generator, but for this time."""
        generator = getattr(sampler, "generator", None)
        state = None if generator is None else generator.get_state()
        indices: list[int] | None = next(islice(iter(loader.batch_sampler), step - self._next, None), None)
        if generator is not None:
            generator.set_state(state)
        return None if indices is None else loader.collate_fn([loader.dataset[index] for index in indices])
