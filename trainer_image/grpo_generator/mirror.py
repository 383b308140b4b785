"""The run's weights in memory of the generator's pod: one process writes them, vLLM's workers load them.

It is a file without a name (memfd), which no volume's limit bounds and which is gone with its writer. It counts as memory of
the container.
"""

import mmap
import os
from collections.abc import Iterator, Sequence
from typing import Final

from grpo_contract.weights import StagedWeights, TensorInfo

HEADER_BYTES: Final = 4096
"""Before the tensors: the version that they are, in the first bytes; nothing while they are no version."""
ALIGNMENT: Final = 64
"""Of each tensor: vector instructions like it."""


class MirrorError(Exception):
    """A sentence."""


class Mirror:
    """The writer's end."""

    def __init__(self) -> None:
        self._file = os.memfd_create("grpo-weights")
        self._tensors: tuple[TensorInfo, ...] = ()
        self._map = self._mapped(HEADER_BYTES)

    @property
    def path(self) -> str:
        """Good in all processes of the pod's user while this one lives."""
        return f"/proc/{os.getpid()}/fd/{self._file}"

    @property
    def version(self) -> str:
        return _version(self._map)

    @version.setter
    def version(self, version: str) -> None:
        self._map[:HEADER_BYTES] = version.encode().ljust(HEADER_BYTES, b"\0")

    def lay_out(self, tensors: tuple[TensorInfo, ...]) -> Iterator[memoryview]:
        """Make room for these tensors; the bytes of each in turn. Of other ones than before nothing is kept."""
        if tensors != self._tensors:
            self.version = ""
            self._map = self._mapped(HEADER_BYTES + _room(tensors))
            self._tensors = tensors
        whole = memoryview(self._map)
        return (whole[start:end] for start, end in _places(tensors))

    def _mapped(self, size: int) -> mmap.mmap:
        os.ftruncate(self._file, size)
        return mmap.mmap(self._file, size)


def tensors_of(staged: StagedWeights) -> Iterator[tuple[TensorInfo, memoryview]]:
    """The reader's end: what workers load. They must copy it: it changes with the next version.

    Raises:
        MirrorError: the mirror is of another version.
        OSError: the mirror's writer is gone.
    """
    file = os.open(staged.path, os.O_RDONLY)
    try:
        content = mmap.mmap(file, 0, access=mmap.ACCESS_COPY)  # torch warns of memory that cannot be written
    finally:
        os.close(file)
    held = _version(content)
    if held != staged.version:
        raise MirrorError(f"the weights in memory are {held or 'none'}, not {staged.version}")
    whole = memoryview(content)
    for info, (start, end) in zip(staged.tensors, _places(staged.tensors), strict=True):
        yield info, whole[start:end]


def _version(content: mmap.mmap) -> str:
    return content[:HEADER_BYTES].rstrip(b"\0").decode()


def _places(tensors: Sequence[TensorInfo]) -> Iterator[tuple[int, int]]:
    start = HEADER_BYTES
    for tensor in tensors:
        yield start, start + tensor.size_bytes
        start += _aligned(tensor.size_bytes)


def _room(tensors: Sequence[TensorInfo]) -> int:
    return sum(_aligned(tensor.size_bytes) for tensor in tensors)


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
