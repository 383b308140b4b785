"""How a version of the weights comes to a generator.

1. Stage, while the generator goes on writing completions: the learner sends a WeightOffer to STAGE_PATH. One process of the
   generator's pod keeps a mirror of the weights in memory; it connects to the offer's address and brings the mirror up to
   that version. The answer says where the mirror is (StageAnswer).
2. Swap, while the generator stands still: with vLLM's /update_weights every worker loads the StagedWeights from the mirror.

The stream of step 1. The generator sends one line: the offer's token, a space, and the version that its mirror holds, or
nothing. An unknown token is answered by closing at once. The learner sends the tensors in the order of the offer, each as its
blocks of `block_bytes` (the last one is what remains), row-major and little-endian. Of a block come

- the number of its parts, one byte: 0 where the generator has it already, and then nothing more;
- each part: PART_HEADER (kind, number of changes, bytes that follow), then its bytes: the block as it is (DENSE) or changes
  (grpo_contract.sparse), to be made one part after the other;
- the CRC-32 of the whole block with all parts applied, 4 bytes, big-endian.

After the last one the learner closes the connection.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from math import prod
from typing import Final

from pydantic import BaseModel, ConfigDict

STAGE_PATH: Final = "/stage_weights"
SILENCE_S: Final = 45.0
"""Who takes no part in a transfer for so long is gone, whatever its deadline; both ends go by it."""
CHECKSUM_BYTES: Final = 4
LINE_BYTES: Final = 256
"""No first line of a stream is longer."""
BLOCK_BYTES: Final = 4 << 20
"""What learners cut tensors into: a block, its old bytes and its changes fit into a core's cache together. A multiple of
every width of an element."""
PART_HEADER: Final = struct.Struct(">BII")

ELEMENT_BYTES: Final = {
    "bool": 1, "uint8": 1, "int8": 1, "float8_e4m3fn": 1, "float8_e5m2": 1,
    "int16": 2, "float16": 2, "bfloat16": 2,
    "int32": 4, "float32": 4,
    "int64": 8, "float64": 8,
}  # fmt: skip
"""By the name of a dtype. The process that keeps the mirror knows no torch, which takes seconds to import."""


class PartKind(IntEnum):
    DENSE = 0
    SPARSE_8 = 1
    """Changes, with gaps of 8 bits."""
    SPARSE_16 = 2


@dataclass(frozen=True)
class Changes:
    """Of a block (grpo_contract.sparse makes and applies them); of kind DENSE they stand for the block as it is now, and have no
    data of their own."""

    kind: PartKind
    num_changes: int
    data: bytes


class UnknownDtype(ValueError):
    """A sentence."""


class _Message(BaseModel):
    # An unknown field is of a learner with a newer image; nothing may be in one that a generator must heed.
    model_config = ConfigDict(extra="ignore", frozen=True)


class TensorInfo(_Message):
    name: str
    dtype: str
    """As torch names it, without "torch."."""
    shape: tuple[int, ...]

    @property
    def element_bytes(self) -> int:
        """
        Raises:
            UnknownDtype: of its dtype.
        """
        if self.dtype not in ELEMENT_BYTES:
            raise UnknownDtype(f"{self.name} has the unknown dtype {self.dtype}")
        return ELEMENT_BYTES[self.dtype]

    @property
    def size_bytes(self) -> int:
        return self.element_bytes * prod(self.shape)


class WeightOffer(_Message):
    """One version of the weights: what it consists of and where to fetch it."""

    version: str
    host: str
    port: int
    token: str
    """Good for this offer until the learner withdraws it."""
    tensors: tuple[TensorInfo, ...]
    total_bytes: int
    """Of all tensors."""
    block_bytes: int
    deadline_s: float
    """Seconds after which a generator gives up."""


class StageAnswer(_Message):
    """The answer to an offer that was followed."""

    path: str
    """Of the mirror, as processes of the generator's pod may open it."""


class StagedWeights(StageAnswer):
    """What workers load: the update_info of vLLM's /update_weights."""

    version: str
    tensors: tuple[TensorInfo, ...]


def blocks(size_bytes: int, block_bytes: int) -> Iterator[slice]:
    """Of a tensor of that size."""
    return (slice(start, min(start + block_bytes, size_bytes)) for start in range(0, size_bytes, block_bytes))


def checksum(data: memoryview) -> bytes:
    return zlib.crc32(data).to_bytes(CHECKSUM_BYTES, "big")
