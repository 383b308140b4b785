"""Data sets that are streamed: where ranks and attempts are in one, and rows to evaluate on, which are read through at once.

A stream is one for all ranks. accelerate deals its files to them where there are enough: groups would be torn apart, and ranks
with fewer rows would leave the others waiting in a collective.
"""

import math
from collections.abc import Iterator
from typing import Any, Final

import datasets
import pyarrow as pa
import torch

from grpo_contract.failure import PodReason, UserError
from grpo_contract.recipe.evaluation import MOST_STREAMED_ROWS, too_many_streamed_rows

ROWS_AT_ONCE: Final = 1000


class Undivided(torch.utils.data.IterableDataset[Any]):  # type: ignore[misc]
    """A stream whose files accelerate does not see: each rank reads all of it, and takes its slice of each batch."""

    def __init__(self, rows: datasets.IterableDataset) -> None:
        self.rows = rows

    def __iter__(self) -> Iterator[Any]:
        return iter(self.rows)

    def set_epoch(self, epoch: int) -> None:
        self.rows.set_epoch(epoch)


def place_in_stream(epoch: float, batches: int) -> tuple[int, int]:
    """How often a stream had been read through, and how many batches of the next reading were made, at what transformers calls
    an epoch: it takes the `batches` of the whole run for one epoch of a stream."""
    share, readings = math.modf(epoch)
    return int(readings), round(share * batches)


def read_whole(stream: datasets.IterableDataset, split: str) -> datasets.Dataset:
    """In memory. Each evaluation has the same rows then, their number is known, and all ranks have as many batches.

    Raises:
        UserError: there are too many rows.
    """
    first = stream.take(MOST_STREAMED_ROWS + 1)  # a stream need not have an end
    tables = list(first.with_format("arrow").iter(batch_size=ROWS_AT_ONCE))
    if not tables:
        return datasets.Dataset.from_list([])
    rows = datasets.Dataset(pa.concat_tables(tables), info=datasets.DatasetInfo(features=stream.features))
    if len(rows) > MOST_STREAMED_ROWS:
        raise UserError(PodReason.INVALID_RECIPE, too_many_streamed_rows(split))
    return rows
