"""The generator's end of a stage: bring the mirror up to the version of an offer (the protocol is grpo_contract.weights).

The mirror is of the new version only when all bytes came and every checksum is right; until then, and after a failure, it is of
none, and the next offer brings all of it.
"""

import socket
import time

from grpo_contract.sparse import BadChanges, apply_changes
from grpo_contract.weights import (
    CHECKSUM_BYTES,
    PART_HEADER,
    SILENCE_S,
    Changes,
    PartKind,
    TensorInfo,
    UnknownDtype,
    WeightOffer,
    blocks,
    checksum,
)
from grpo_generator.mirror import Mirror


class PullError(Exception):
    """The stream is not what was offered, or it ended early. A sentence."""


def pull(offer: WeightOffer, mirror: Mirror) -> None:
    """
    Raises:
        PullError: token refused, stream too short, too long, corrupt or too slow.
        OSError: the learner cannot be reached.
    """
    offered = _offered_bytes(offer)
    if offered != offer.total_bytes:
        raise PullError(f"the offer describes {offered} bytes of tensors and announces {offer.total_bytes}")
    targets = mirror.lay_out(offer.tensors)
    stream = _Stream(offer, mirror.version)
    mirror.version = ""
    try:
        for tensor, target in zip(offer.tensors, targets, strict=True):
            for block in blocks(len(target), offer.block_bytes):
                stream.update(target[block], tensor)
        stream.expect_end()
    finally:
        stream.close()
    mirror.version = offer.version


def _offered_bytes(offer: WeightOffer) -> int:
    try:
        return sum(tensor.size_bytes for tensor in offer.tensors)
    except UnknownDtype as error:
        raise PullError(str(error)) from error


class _Stream:
    def __init__(self, offer: WeightOffer, held: str) -> None:
        self._deadline = time.monotonic() + offer.deadline_s
        self._connection = socket.create_connection((offer.host, offer.port), timeout=min(SILENCE_S, offer.deadline_s))
        self._connection.sendall(f"{offer.token} {held}\n".encode())

    def update(self, block: memoryview, tensor: TensorInfo) -> None:
        (num_parts,) = self._read(1, tensor.name)
        for _ in range(num_parts):
            self._apply_part(block, tensor)
        if num_parts and checksum(block) != self._read(CHECKSUM_BYTES, tensor.name):
            raise PullError(f"the checksum of {tensor.name} does not match its bytes")

    def expect_end(self) -> None:
        if self._receive(memoryview(bytearray(1)), "the end"):
            raise PullError("the stream is longer than its offer")

    def close(self) -> None:
        self._connection.close()

    def _apply_part(self, block: memoryview, tensor: TensorInfo) -> None:
        kind, num_changes, size = PART_HEADER.unpack(self._read(PART_HEADER.size, tensor.name))
        if kind not in list(PartKind) or size > len(block) or (kind == PartKind.DENSE and size < len(block)):
            raise PullError(f"a part of kind {kind} with {size} bytes is none of {tensor.name}")
        if kind == PartKind.DENSE:
            self._read_into(block, tensor.name)
            return
        changes = Changes(PartKind(kind), num_changes, bytes(self._read(size, tensor.name)))
        try:
            apply_changes(block, changes, tensor.element_bytes)
        except BadChanges as error:
            raise PullError(f"{tensor.name}: {error}") from error

    def _read(self, size: int, what: str) -> bytearray:
        data = bytearray(size)
        self._read_into(memoryview(data), what)
        return data

    def _read_into(self, rest: memoryview, what: str) -> None:
        while rest:
            received = self._receive(rest, what)
            if not received:
                raise PullError(f"the stream ended {len(rest)} bytes before the end of {what}")
            rest = rest[received:]

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
