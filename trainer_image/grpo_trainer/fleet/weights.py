"""The learner's end of a stage: one version of the weights, streamed to whoever presents a token for it, or of it what
changed since the version that the generator has.

It serves bytes; what they are made from is the work of FleetGeneration and Snapshot. The protocol is described in
grpo_contract.weights.
"""

import contextlib
import secrets
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from grpo_contract.weights import (
    BLOCK_BYTES,
    LINE_BYTES,
    PART_HEADER,
    SILENCE_S,
    Changes,
    PartKind,
    TensorInfo,
    WeightOffer,
    blocks,
    checksum,
)

KEPT_DELTAS: Final = 8
"""Of the last versions, for generators that skipped some; fewer where together they are larger than the model."""


def count_of(version: str) -> int:
    """How many versions its process had published with it."""
    return int(version.rpartition("-")[2])


@dataclass(frozen=True)
class WeightTensor:
    info: TensorInfo
    data: memoryview
    """Its bytes, one by one (format B), row-major."""
    _checksums: dict[int, bytes] = field(default_factory=dict, repr=False, compare=False)

    def checksum(self, block: slice) -> bytes:
        """Computed by the first stream that gets here, so that publishing does not wait for it."""
        if block.start not in self._checksums:
            self._checksums[block.start] = checksum(self.data[block])
        return self._checksums[block.start]


@dataclass(frozen=True)
class Delta:
    """What changed from one version to the next."""

    base: str
    tensors: Sequence[Sequence[Changes | None]]
    """Of each tensor its blocks; None where one stayed as it was."""

    @property
    def size_bytes(self) -> int:
        return sum(len(part.data) for parts in self.tensors for part in parts if part is not None)


@dataclass(frozen=True, eq=False)
class _Published:
    """Replaced as a whole, so that no thread sees the version of one and the tensors of another."""

    version: str
    count: int
    tensors: Sequence[WeightTensor] | None
    """None once they are withdrawn: the next ones are being made."""
    deltas: tuple[Delta, ...] = ()
    """One after the other; the last one leads to this version."""

    def since(self, held: str) -> Sequence[Delta] | None:
        """From that version to this one; None when there is no way but to send everything."""
        if held == self.version:
            return ()
        bases = [delta.base for delta in self.deltas]
        return self.deltas[bases.index(held) :] if held in bases else None


class Offering:
    """An offer of one version and what was sent of it so far."""

    def __init__(self, offer: WeightOffer, published: _Published) -> None:
        self.offer = offer
        self.published = published
        self.sent_bytes = 0
        """Of tensors and of their changes."""
        self._lock = threading.Lock()
        self._last_sign_s = time.monotonic()

    @property
    def version(self) -> str:
        return self.published.version

    @property
    def tensors(self) -> Sequence[WeightTensor]:
        assert self.published.tensors is not None
        return self.published.tensors

    def count(self, sent: int) -> None:
        with self._lock:
            self.sent_bytes += sent

    def note_sign(self) -> None:
        """The generator takes part: it has taken a block of the stream, if only to hear that nothing of it has changed."""
        self._last_sign_s = time.monotonic()

    @property
    def is_silent(self) -> bool:
        return time.monotonic() - self._last_sign_s > SILENCE_S


class WeightServer:
    """Offers the newest published weights. An offer keeps its own version alive: a generator that fetches it while the next
    version is made and published gets one of the two, never half of each.

    A version is the whole model in host memory. So the last one is withdrawn before the next one is made, mostly in its place,
    and whoever asks meanwhile waits: the last one would be of no use to it a moment later.
    """

    def __init__(self, host: str, port: int, deadline_s: float) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, port), family=family)
        self._host = host
        self._deadline_s = deadline_s
        self._process = secrets.token_hex(4)  # "version 3" of two learners must not be taken for the same
        self._published = _Published(f"{self._process}-0", 0, None)
        self._changed = threading.Condition()
        self._offerings: dict[str, Offering] = {}
        self._readers: list[_Published] = []
        """What each offer and each stream is of."""
        threading.Thread(target=self._accept, daemon=True, name="weight-server").start()

    @property
    def version(self) -> str:
        """Unique over all attempts of all runs."""
        return self._published.version

    @property
    def count(self) -> int:
        """Versions published so far."""
        return self._published.count

    def withdraw(self) -> None:
        """Offer the published weights to nobody any more. Theirs stays the newest version until `publish`."""
        with self._changed:
            self._published = replace(self._published, tensors=None)

    def in_use(self) -> set[int]:
        """Of the tensors that were published, those which somebody may still read: the ids of their data. Once withdrawn, they
        get no new readers."""
        with self._changed:
            return {id(tensor.data) for published in self._readers for tensor in published.tensors or ()}

    def publish(
        self, tensors: Sequence[WeightTensor], changed: Sequence[Sequence[Changes | None]] | None = None
    ) -> None:
        """`changed`: from the last version to this one, as in Delta; without it everyone gets everything."""
        last = self._published
        deltas = () if changed is None else (*last.deltas, Delta(last.version, changed))
        room = sum(len(tensor.data) for tensor in tensors)
        published = _Published(f"{self._process}-{last.count + 1}", last.count + 1, tensors, _fitting(deltas, room))
        with self._changed:
            self._published = published
            self._changed.notify_all()

    @contextlib.contextmanager
    def offering(self) -> Iterator[Offering]:
        """An offer of the newest weights, once there are any; its token is good inside of the `with` block."""
        token = secrets.token_hex(16)
        with self._reading() as published:
            assert published.tensors is not None
            offer = WeightOffer(
                version=published.version,
                host=self._host,
                port=self._listener.getsockname()[1],
                token=token,
                tensors=tuple(tensor.info for tensor in published.tensors),
                total_bytes=sum(len(tensor.data) for tensor in published.tensors),
                block_bytes=BLOCK_BYTES,
                deadline_s=self._deadline_s,
            )
            self._offerings[token] = offering = Offering(offer, published)
            try:
                yield offering
            finally:
                del self._offerings[token]

    @contextlib.contextmanager
    def _reading(self) -> Iterator[_Published]:
        """What is published, once there is something. Whoever publishes ends with the process when it cannot, and so does this wait."""
        with self._changed:
            while self._published.tensors is None:
                self._changed.wait()
            published = self._published
            self._readers.append(published)
        try:
            yield published
        finally:
            self._end_reading(published)

    def _end_reading(self, published: _Published) -> None:
        with self._changed:
            self._readers.remove(published)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._serve, args=(connection,), daemon=True, name="weight-stream").start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):  # the generator sees the break and says so in its answer
            connection.settimeout(SILENCE_S)
            token, _, held = _read_line(connection).partition(" ")
            offering = self._begin_stream(token)
            if offering is not None:
                try:
                    _stream(connection, offering, held)
                finally:
                    self._end_reading(offering.published)

    def _begin_stream(self, token: str) -> Offering | None:
        """A stream may outlive its offer: of a generator that hangs, whose answer nobody waits for any more."""
        with self._changed:
            offering = self._offerings.get(token)
            if offering is not None:
                self._readers.append(offering.published)
            return offering


def _fitting(deltas: tuple[Delta, ...], room_bytes: int) -> tuple[Delta, ...]:
    """The newest ones."""
    deltas = deltas[-KEPT_DELTAS:]
    while sum(delta.size_bytes for delta in deltas) > room_bytes:
        deltas = deltas[1:]
    return deltas


def _read_line(connection: socket.socket) -> str:
    line = b""
    while not line.endswith(b"\n") and len(line) < LINE_BYTES:
        received = connection.recv(LINE_BYTES - len(line))
        if not received:
            break
        line += received
    return line.decode(errors="replace").strip("\n")


def _stream(connection: socket.socket, offering: Offering, held: str) -> None:
    deltas = offering.published.since(held)
    with connection.makefile("wb") as stream:
        for number, tensor in enumerate(offering.tensors):
            for place, block in enumerate(blocks(len(tensor.data), offering.offer.block_bytes)):
                changed = None if deltas is None else [delta.tensors[number][place] for delta in deltas]
                parts = _parts(changed, tensor.data[block])
                stream.write(bytes([len(parts)]))
                for kind, num_changes, data in parts:
                    stream.write(PART_HEADER.pack(kind, num_changes, len(data)))
                    stream.write(data)
                    offering.count(len(data))
                if parts:
                    stream.write(tensor.checksum(block))
                offering.note_sign()


def _parts(
    changed: Sequence[Changes | None] | None, block: memoryview
) -> list[tuple[PartKind, int, bytes | memoryview]]:
    """The changes one after the other, or the whole block where that is less."""
    sparse = [part for part in changed or () if part is not None]
    is_dense = changed is None or any(part.kind is PartKind.DENSE for part in sparse)
    if is_dense or sum(len(part.data) for part in sparse) >= len(block):
        return [(PartKind.DENSE, 0, block)]
    return [(part.kind, part.num_changes, part.data) for part in sparse]
