"""Files of completions: one for each step, merged into blocks, and the oldest removed when there are too many bytes."""

import shutil
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from grpo_contract.completions import (
    BLOCK_STEPS,
    Column,
    block_file,
    block_of,
    files_of_blocks,
    files_of_steps,
    step_file,
)
from grpo_trainer.storage.flushing import flush_one

SHARE_OF_VOLUME: Final = 0.1
"""At most, whatever the limit: checkpoints are what it is for."""
COMPRESSION: Final = "zstd"
UNFINISHED: Final = ".unfinished-"


class Archive:
    """One attempt writes, others may read at any time. Raises OSError where the volume does."""

    def __init__(self, folder: Path, attempt: int, max_bytes: int) -> None:
        self._folder = folder
        self._attempt = attempt
        self._max_bytes = max_bytes
        self._has_begun = False

    def write(self, step: int, table: pa.Table) -> None:
        """More of the step, if this attempt has some of it already: a step may learn from several batches."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if not self._has_begun:
            self._forget_from(step)
            self._has_begun = True
        self.rotate()
        file = self._folder / step_file(step)
        if file.exists():
            table = _joined(pq.read_table(file), table)
        with self._replaced(file) as partial:
            pq.write_table(table, partial, compression=COMPRESSION)

    def merge_before(self, step: int) -> None:
        """Blocks of which all steps are over."""
        blocks: defaultdict[int, dict[int, Path]] = defaultdict(dict)
        for own, file in files_of_steps(self._folder.iterdir()).items():
            blocks[block_of(own)][own] = file
        for first, files in blocks.items():
            if first < block_of(step):
                self._merge(first, files)

    def rotate(self) -> None:
        """The oldest go. The newest stays, whatever its size."""
        found = list(self._folder.iterdir())
        files = sorted([*files_of_steps(found).items(), *files_of_blocks(found).items()])
        sizes = [file.stat().st_size for _, file in files]
        limit = min(self._max_bytes, SHARE_OF_VOLUME * shutil.disk_usage(self._folder).total)
        total = sum(sizes)
        for (_, file), size in zip(files[:-1], sizes, strict=False):
            if total <= limit:
                break
            file.unlink(missing_ok=True)
            total -= size

    def _forget_from(self, step: int) -> None:
        """What an earlier attempt made beyond the checkpoint that this one goes on from, or was making when it was killed."""
        for partial in self._folder.glob(f"{UNFINISHED}*"):
            partial.unlink(missing_ok=True)
        for own, file in files_of_steps(self._folder.iterdir()).items():
            if own >= step:
                file.unlink(missing_ok=True)
        for first, block in files_of_blocks(self._folder.iterdir()).items():
            if first >= step:
                block.unlink(missing_ok=True)
            elif first + BLOCK_STEPS > step:
                self._merge(first, {}, before=step)

    def _merge(self, first: int, files: dict[int, Path], before: int | None = None) -> None:
        """One step after the other: a block may be larger than memory. Each has a row group, so that who looks for one reads
        no other."""
        block = self._folder / block_file(first)
        schemas = [pq.read_schema(file) for file in (*files.values(), *([block] if block.exists() else []))]
        schema = pa.unify_schemas(schemas)  # an image of later on may have more columns
        with self._replaced(block) as merged, pq.ParquetWriter(merged, schema, compression=COMPRESSION) as writer:
            for step, table in _in_order(block, files):
                if before is None or step < before:
                    writer.write_table(pa.concat_tables([schema.empty_table(), table], promote_options="default"))
        for file in files.values():
            file.unlink(missing_ok=True)

    @contextmanager
    def _replaced(self, file: Path) -> Iterator[Path]:
        """A file that is whole, or as it was before."""
        partial = self._folder / f"{UNFINISHED}{self._attempt}-{file.name}"
        try:
            yield partial
            flush_one(partial)
            partial.rename(file)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


def _joined(table: pa.Table, more: pa.Table) -> pa.Table:
    """Groups are counted on."""
    place = more.schema.get_field_index(Column.GROUP)
    shifted = pc.add(more[Column.GROUP], pc.add(pc.max(table[Column.GROUP]), 1)).cast(pa.int32())
    return pa.concat_tables([table, more.set_column(place, more.schema.field(place), shifted)])


def _in_order(block: Path, files: dict[int, Path]) -> Iterator[tuple[int, Any]]:
    """Steps of the block so far, and of the files."""
    if not block.exists():
        yield from ((step, pq.read_table(files[step])) for step in sorted(files))
        return
    with pq.ParquetFile(block) as before:
        groups = {_step_of(before, group): group for group in range(before.num_row_groups)}
        for step in sorted({*groups, *files}):
            yield step, pq.read_table(files[step]) if step in files else before.read_row_group(groups[step])


def _step_of(block: Any, group: int) -> int:
    step: int = block.read_row_group(group, columns=[Column.STEP.value]).column(0)[0].as_py()
    return step
