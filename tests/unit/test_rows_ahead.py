"""What training will come to is known before, and training gets the same."""

import random
from typing import Any

import pytest

from grpo_trainer.sampling.ahead import RowsAhead

EPOCH = 6
"""Micro-steps."""


class Generator:
    """torch.Generator's face: a state that every draw changes."""

    def __init__(self) -> None:
        self.random = random.Random(3)

    def get_state(self) -> Any:
        return self.random.getstate()

    def set_state(self, state: Any) -> None:
        self.random.setstate(state)


class Sampler:
    """Of two rows at a time; each begin draws an order, or there is none to draw."""

    def __init__(self, shuffled: bool) -> None:
        self.generator = Generator() if shuffled else None

    def __iter__(self) -> Any:
        places = list(range(2 * EPOCH))
        if self.generator is not None:
            self.generator.random.shuffle(places)
        return iter([places[start : start + 2] for start in range(0, len(places), 2)])


class Loader:
    def __init__(self, shuffled: bool) -> None:
        self.batch_sampler = Sampler(shuffled)
        self.dataset = [{"prompt": number} for number in range(2 * EPOCH)]
        self.collate_fn = list

    def __iter__(self) -> Any:
        return (self.collate_fn([self.dataset[index] for index in batch]) for batch in self.batch_sampler)


def test_rows_that_were_looked_at_are_taken_all_the_same() -> None:
    rows = [[{"prompt": number}] for number in range(EPOCH)]
    ahead, iterator = RowsAhead(), iter(rows)
    assert ahead.take(iterator, 2, now=0) == rows[:2]
    assert ahead.at(4) == rows[4]
    assert ahead.at(1) == rows[1]
    assert ahead.take(iterator, 2, now=2) == rows[2:4]
    assert ahead.take(iterator, 2, now=4) == rows[4:]
    assert ahead.at(EPOCH) is None


def test_the_last_step_of_an_epoch_may_have_fewer() -> None:
    rows = [[{"prompt": number}] for number in range(3)]
    ahead, iterator = RowsAhead(), iter(rows)
    ahead.take(iterator, 2, now=0)
    assert ahead.take(iterator, 2, now=2) == rows[2:]


def test_an_attempt_begins_where_the_last_one_was() -> None:
    rows = [[{"prompt": number}] for number in range(EPOCH)]
    ahead = RowsAhead()
    assert ahead.take(iter(rows[4:]), 1, now=10) == rows[4:5]
    assert ahead.at(11) == rows[5]
    assert ahead.at(12) is None


@pytest.mark.parametrize("shuffled", [True, False])
def test_the_next_epoch_begins_as_it_was_foretold(shuffled: bool) -> None:
    loader, ahead = Loader(shuffled), RowsAhead()
    first = ahead.take(iter(loader), EPOCH, now=0)
    assert ahead.at(EPOCH) is None
    foretold = [ahead.after_epoch(loader, loader.batch_sampler, step) for step in (EPOCH, EPOCH + 2)]
    assert ahead.after_epoch(loader, loader.batch_sampler, 2 * EPOCH) is None
    second = ahead.take(iter(loader), EPOCH, now=EPOCH)
    assert foretold == [second[0], second[2]]
    assert (first == second) is not shuffled


def test_rows_behind_are_forgotten() -> None:
    ahead, iterator = RowsAhead(), iter([[{"prompt": number}] for number in range(EPOCH)])
    for now in range(0, EPOCH, 2):
        ahead.take(iterator, 2, now)
        assert min(ahead._read) >= now
