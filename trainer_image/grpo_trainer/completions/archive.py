"""Files of completions: one for each step, merged into blocks, and the oldest removed when there are too many bytes."""

import shutil
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from grpo_contract.completions import Column, block_file, block_of, first_of_block_file, step_file, step_of_file
from grpo_trainer.storage.flushing import flush_one

SHARE_OF_VOLUME: Final = 0.1
"""At most, whatever the limit: checkpoints are what it is for."""
COMPRESSION: Final = "zstd"
UNFINISHED: Final = ".unfinished-"


class Archive:
    """One writes, others may read at any time. Raises OSError where the volume does."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes

    def write(self, step: int, table: pa.Table) -> None:
        """All that is kept of the step, in the place of what an earlier attempt had of it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._replaced(step_file(step)) as file:
            pq.write_table(table, file, compression=COMPRESSION)
        for first, files in self._steps_by_block().items():
            if first < block_of(step):
                self._merge(first, files)
        self._rotate()

    def _steps_by_block(self) -> dict[int, dict[int, Path]]:
        """Files of one step, by the first step of their block and their own."""
        found: defaultdict[int, dict[int, Path]] = defaultdict(dict)
        for file in self._folder.iterdir():
            if (step := step_of_file(file.name)) is not None:
                found[block_of(step)][step] = file
        return found

    def _merge(self, first: int, files: dict[int, Path]) -> None:
        """One step after the other: a block may be larger than memory. Each has a row group, so that who looks for one reads
        no other."""
        block = self._folder / block_file(first)
        schemas = [pq.read_schema(file) for file in (*files.values(), *([block] if block.exists() else []))]
        schema = pa.unify_schemas(schemas)  # an image of later on may have more columns
        with self._replaced(block.name) as merged, pq.ParquetWriter(merged, schema, compression=COMPRESSION) as writer:
            for table in _in_order(block, files):
                writer.write_table(pa.concat_tables([schema.empty_table(), table], promote_options="default"))
        for file in files.values():
            file.unlink(missing_ok=True)

    def _rotate(self) -> None:
        """Without the newest file, whatever its size."""
        files = sorted(self._files(), key=lambda file: file[0])
        sizes = [file.stat().st_size for _, file in files]
        limit = min(self._max_bytes, SHARE_OF_VOLUME * shutil.disk_usage(self._folder).total)
        for (_, file), size in zip(files[:-1], sizes, strict=False):
            if sum(sizes) <= limit:
                break
            file.unlink(missing_ok=True)
            sizes.remove(size)

    def _files(self) -> Iterator[tuple[int, Path]]:
        """With their first steps."""
        for file in self._folder.iterdir():
            for first in (step_of_file(file.name), first_of_block_file(file.name)):
                if first is not None:
                    yield first, file

    @contextmanager
    def _replaced(self, name: str) -> Iterator[Path]:
        """A file that is whole, or as it was before."""
        partial, file = self._folder / f"{UNFINISHED}{name}", self._folder / name
        try:
            yield partial
            flush_one(partial)
            partial.rename(file)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


def _in_order(block: Path, files: dict[int, Path]) -> Iterator[Any]:
    """Steps of the block so far, but for those that were made again."""
    if not block.exists():
        yield from (pq.read_table(files[step]) for step in sorted(files))
        return
    with pq.ParquetFile(block) as before:
        groups = {_step_of(before, group): group for group in range(before.num_row_groups)}
        for step in sorted({*groups, *files}):
            yield pq.read_table(files[step]) if step in files else before.read_row_group(groups[step])


def _step_of(block: Any, group: int) -> int:
    step: int = block.read_row_group(group, columns=[Column.STEP.value]).column(0)[0].as_py()
    return step
