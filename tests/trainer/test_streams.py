"""A stream that several ranks read, and where an attempt goes on in it."""

from typing import Any

import datasets
import pytest
from accelerate.data_loader import prepare_data_loader
from torch.utils.data import DataLoader
from trl.trainer.utils import repeat_iterable_dataset

from grpo_trainer.inputs.streams import Undivided, place_in_stream


def of_two_files(path: Any) -> Any:
    """Rows 0 to 4, and 5 and 6."""
    files = [str(path / f"{name}.parquet") for name in "ab"]
    for file, rows in zip(files, [range(5), range(5, 7)], strict=True):
        datasets.Dataset.from_dict({"row": list(rows)}).to_parquet(file)
    return datasets.load_dataset("parquet", data_files=files, split="train", streaming=True)


def test_ranks_take_their_slices_of_the_same_batches(tmp_path: Any) -> None:
    """3 prompts x 2 completions at a time, 3 for each of the ranks. accelerate alone gave each rank a file of its own."""
    rows = repeat_iterable_dataset(of_two_files(tmp_path), mini_repeat_count=2, batch_size=3)
    loader = DataLoader(Undivided(rows), batch_size=3, collate_fn=lambda batch: [entry["row"] for entry in batch])
    of_ranks = [
        list(prepare_data_loader(loader, num_processes=2, process_index=rank, dispatch_batches=False))
        for rank in (0, 1)
    ]
    assert of_ranks == [[[0, 0, 1], [3, 3, 4]], [[1, 2, 2], [4, 5, 5]]]


def test_each_reading_has_an_order_of_its_own(tmp_path: Any) -> None:
    """As of the stream itself."""
    shuffled = of_two_files(tmp_path).shuffle(seed=1)
    stream = Undivided(of_two_files(tmp_path).shuffle(seed=1))
    orders = []
    for epoch in (0, 1, 0):
        stream.set_epoch(epoch)
        shuffled.set_epoch(epoch)
        orders.append([entry["row"] for entry in stream])
        assert orders[-1] == [entry["row"] for entry in shuffled]
    assert orders[0] == orders[2] != orders[1]
    assert sorted(orders[1]) == list(range(7))


@pytest.mark.parametrize(
    ("epoch", "place"),
    [
        (0, (0, 0)),
        (0 + 2 / 16, (0, 2)),
        (0 + 6 / 16, (0, 6)),  # 3 steps of 2 batches, which may have been all of a reading
        (1 + 2 / 16, (1, 2)),
        (2 + 4 / 16, (2, 4)),
        (0 + 16 / 16, (1, 0)),  # all of the run
    ],
)
def test_where_a_run_is_in_a_stream(epoch: float, place: tuple[int, int]) -> None:
    """8 steps of 2 batches."""
    assert place_in_stream(epoch, batches=16) == place


def test_a_long_stream() -> None:
    batches = 300_000
    assert all(place_in_stream(37 + done / batches, batches) == (37, done) for done in range(0, batches, 997))
