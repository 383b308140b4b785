"""Rows to evaluate on that come as a stream: read once, at the start, and held in memory by every rank.

Each evaluation has the same rows then, their number is known, and accelerate deals whole batches of them to the ranks. Of a
stream, it gives each rank other files where there are enough: groups would be torn apart, and ranks with fewer rows would
leave the others waiting in a collective.
"""

from typing import Final

import datasets
import pyarrow as pa

from grpo_contract.evaluation import MOST_STREAMED_ROWS, too_many_streamed_rows
from grpo_contract.failure import PodReason, UserError

ROWS_AT_ONCE: Final = 1000


def read_whole(stream: datasets.IterableDataset, split: str) -> datasets.Dataset:
    """
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
