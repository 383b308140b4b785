"""The generator's end of a pull: read the tensors of an offer from the learner (the protocol is grpo_contract.weights).

A tensor leaves this module only when all of its bytes came and their checksum is right.
"""

import math
import socket
import time
import zlib
from collections.abc import Iterator
from typing import Final

import torch

from grpo_contract.weights import CHECKSUM_BYTES, TensorInfo, WeightOffer

SILENCE_S: Final = 60.0
"""A learner that sends nothing for so long is gone, whatever the offer's deadline."""


class PullError(Exception):
    """The stream is not what was offered, or it ended early. A sentence."""


def pull(offer: WeightOffer) -> Iterator[tuple[str, torch.Tensor]]:
    """The offer's tensors in its order, one at a time, on the CPU.

    Raises:
        PullError: token refused, stream too short, too long, corrupt or too slow.
        OSError: the learner cannot be reached.
    """
    offered = sum(_size(tensor) for tensor in offer.tensors)
    if offered != offer.total_bytes:
        raise PullError(f"the offer describes {offered} bytes of tensors and announces {offer.total_bytes}")
    stream = _Stream(offer)
    try:
        for tensor in offer.tensors:
            yield tensor.name, stream.tensor(tensor)
        stream.expect_end()
    finally:
        stream.close()


class _Stream:
    def __init__(self, offer: WeightOffer) -> None:
        self._deadline = time.monotonic() + offer.deadline_s
        self._connection = socket.create_connection((offer.host, offer.port), timeout=min(SILENCE_S, offer.deadline_s))
        self._connection.sendall(offer.token.encode() + b"\n")

    def tensor(self, info: TensorInfo) -> torch.Tensor:
        data = self._read(_size(info), info.name)
        checksum = int.from_bytes(self._read(CHECKSUM_BYTES, info.name), "big")
        if zlib.crc32(data) != checksum:
            raise PullError(f"the checksum of {info.name} does not match its bytes")
        if not data:
            return torch.empty(info.shape, dtype=_dtype(info))
        return torch.frombuffer(data, dtype=_dtype(info)).view(info.shape)

    def expect_end(self) -> None:
        if self._receive(memoryview(bytearray(1)), "the end"):
            raise PullError("the stream is longer than its offer")

    def close(self) -> None:
        self._connection.close()

    def _read(self, size: int, what: str) -> bytearray:
        data = bytearray(size)
        rest = memoryview(data)
        while rest:
            received = self._receive(rest, what)
            if not received:
                raise PullError(f"the stream ended {len(rest)} bytes before the end of {what}")
            rest = rest[received:]
        return data

    def _receive(self, into: memoryview, what: str) -> int:
        left_s = self._deadline - time.monotonic()
        if left_s <= 0:
            raise PullError(f"the deadline of the pull passed at {what}")
        self._connection.settimeout(min(SILENCE_S, left_s))
        try:
            received: int = self._connection.recv_into(into)
        except TimeoutError as error:
            raise PullError(f"the learner fell silent at {what}") from error
        return received


def _dtype(info: TensorInfo) -> torch.dtype:
    dtype = getattr(torch, info.dtype, None)
    if not isinstance(dtype, torch.dtype):
        raise PullError(f"{info.name} has the unknown dtype {info.dtype}")
    return dtype


def _size(info: TensorInfo) -> int:
    return int(_dtype(info).itemsize) * math.prod(info.shape)
