"""Rows of the splits that a recipe names, of which a mixture makes its own."""

import math
from collections.abc import Mapping
from typing import Any

from grpo_contract.recipe import dataset_mixture


def rows_of(recipe: Mapping[str, Any], rows: int | None, eval_rows: int | None) -> tuple[int | None, int | None]:
    """To train on and to evaluate on. `rows` are those of the data set, or of all that a mixture's entries give."""
    size = (recipe.get(dataset_mixture.KEY) or {}).get("test_split_size")
    if size is None:
        return rows, eval_rows
    kept_out = int(size) if size >= 1 else None if rows is None else math.ceil(size * rows)
    splits = {"test": kept_out, "train": None if rows is None or kept_out is None else max(0, rows - kept_out)}
    train, test = (recipe.get(f"dataset_{name}_split") or name for name in ("train", "test"))
    return splits.get(train), splits.get(test)
