"""Sizes and checksums of a checkpoint's files: made where a file was just written and is still in memory, by the rank that wrote it.

xxh3 is no signature: it finds what a disk, a network drive or a lost node has damaged. It is as fast as a file is read: 9.8 GB/s
on one core, where zlib's crc32 comes to 2.1 and blake2b to 0.5.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import xxhash
from pydantic import BaseModel, ConfigDict

from grpo_trainer.storage.checkpoint_files import MARKER, PARTIAL_MARKER

CHUNK_BYTES: Final = 1 << 24
WRITTEN_BY_RANK: Final = re.compile(r"zero_pp_rank_(\d+)_|^rng_state_(\d+)\.pth$|^midway_(\d+)\.pt$")
"""Names of files that each rank writes its own of. All others are rank 0's."""


class FileSum(BaseModel):
    model_config = ConfigDict(frozen=True)

    size: int
    xxh3: str


Sums = Mapping[str, FileSum]
"""By a file's path below the checkpoint's folder."""


def checksum(content: bytes) -> str:
    return str(xxhash.xxh3_128_hexdigest(content))


def sum_of(file: Path, got_to: Callable[[int], None] = lambda size: None) -> FileSum:
    """`got_to` is told how much of it is read, now and then; what it raises ends the reading."""
    size, found = 0, xxhash.xxh3_128()
    buffer = memoryview(bytearray(CHUNK_BYTES))
    with file.open("rb", buffering=0) as opened:
        while count := opened.readinto(buffer):
            size += count
            found.update(buffer[:count])
            got_to(size)
    return FileSum(size=size, xxh3=found.hexdigest())


def sums_of_rank(folder: Path, rank: int) -> Sums:
    """Of the files that this rank has written there."""
    written = [path for path in sorted(folder.rglob("*")) if writer_of(path.name) == rank and path.is_file()]
    return {
        str(path.relative_to(folder)): sum_of(path) for path in written if path.name not in (MARKER, PARTIAL_MARKER)
    }


def writer_of(name: str) -> int:
    found = WRITTEN_BY_RANK.search(name)
    return int(found[found.lastindex or 0]) if found else 0


def share_of_rank(sums: Sums, rank: int, num_ranks: int) -> list[str]:
    """Files that one rank checks: its own part, which it is going to load, and some of those that rank 0 wrote for all. Of the
    same number of bytes for each rank, as far as whole files can be."""
    loads = [0] * num_ranks
    share: list[str] = []
    for name in sorted(sums, key=lambda name: (not is_of_one_rank(name), -sums[name].size, name)):
        reader = writer_of(Path(name).name) % num_ranks if is_of_one_rank(name) else loads.index(min(loads))
        loads[reader] += sums[name].size
        share += [name] if reader == rank else []
    return share


def is_of_one_rank(name: str) -> bool:
    return WRITTEN_BY_RANK.search(Path(name).name) is not None
