"""Several data sets in one, row for row as Open-R1 mixes them (src/open_r1/utils/data.py, get_dataset).

A seed gives the same rows in the same order on every rank and in every attempt. Indices of rows stay in memory: `datasets`
would write them beside the data, and a folder on the volume may not be the pod's to write to.
"""

import logging
import math
from collections.abc import Sequence
from typing import Final

import datasets

from grpo_contract.failure import PodReason, UserError
from grpo_contract.recipe.dataset_mixture import DatasetMixture, MixedDataset

IN_MEMORY: Final = {"keep_in_memory": True}

log = logging.getLogger(__name__)


def mix(parts: Sequence[datasets.Dataset], mixture: DatasetMixture) -> dict[str, datasets.Dataset]:
    """{split: its rows}; `parts` are the data sets of the mixture's entries.

    Raises:
        UserError: the parts do not go together, or leave nothing to train on.
    """
    drawn = [draw(part, entry, mixture.seed) for part, entry in zip(parts, mixture.datasets, strict=True)]
    for place, (part, rows) in enumerate(zip(parts, drawn, strict=True)):
        entry = mixture.datasets[place]
        log.info("dataset_mixture.datasets[%d]: %d of the %d rows of %r", place, len(rows), len(part), entry.id)
    mixed = put_together(drawn, mixture).shuffle(seed=mixture.seed, **IN_MEMORY)
    return {"train": mixed} if mixture.test_split_size is None else split_off(mixed, mixture)


def draw(rows: datasets.Dataset, entry: MixedDataset, seed: int) -> datasets.Dataset:
    if entry.columns is not None:
        rows = rows.select_columns(entry.columns)
    if entry.weight is None:
        return rows
    return rows.shuffle(seed=seed, **IN_MEMORY).select(range(int(len(rows) * entry.weight)), **IN_MEMORY)


def put_together(drawn: Sequence[datasets.Dataset], mixture: DatasetMixture) -> datasets.Dataset:
    """One after the other, so that a sentence can say which of them does not suit those before it."""
    mixed = drawn[0]
    for place, rows in enumerate(drawn[1:], start=1):
        try:
            mixed = datasets.concatenate_datasets([mixed, rows])
        except ValueError as error:
            raise types_differ(mixed, rows, mixture.datasets[place], place) from error
    return mixed


def types_differ(mixed: datasets.Dataset, rows: datasets.Dataset, entry: MixedDataset, place: int) -> UserError:
    column = next(name for name in rows.column_names if not is_alike(mixed, rows, name))
    return UserError(
        PodReason.INVALID_RECIPE,
        f"spec.recipe.dataset_mixture.datasets[{place}].id: column {column!r} of data set {entry.id!r} is "
        f"{rows.features[column]}, but {mixed.features[column]} in the entries before it; keep only columns of one "
        f"type with the columns of the entries.",
    )


def is_alike(mixed: datasets.Dataset, rows: datasets.Dataset, column: str) -> bool:
    if column not in mixed.column_names:
        return True
    try:
        datasets.concatenate_datasets([mixed.select_columns(column), rows.select_columns(column)])
    except ValueError:
        return False
    return True


def split_off(mixed: datasets.Dataset, mixture: DatasetMixture) -> dict[str, datasets.Dataset]:
    """The rows that train_test_split would choose; it cannot keep them in memory."""
    size = mixture.test_split_size
    assert size is not None
    count = int(size) if size.is_integer() else math.ceil(size * len(mixed))
    if count >= len(mixed):
        raise UserError(
            PodReason.INVALID_RECIPE,
            f"spec.recipe.dataset_mixture.test_split_size: {size:g} leaves none of the mixture's {len(mixed)} rows to "
            f"train on; lower it.",
        )
    shuffled = mixed.shuffle(seed=mixture.seed, **IN_MEMORY)
    parts = {"test": range(count), "train": range(count, len(mixed))}
    log.info("dataset_mixture.test_split_size: %d rows are left for training", len(parts["train"]))
    return {split: shuffled.select(rows, **IN_MEMORY) for split, rows in parts.items()}
