"""The learner's end of a pull: one version of the weights, streamed to whoever presents a token for it.

It serves bytes; gathering parameters is FleetGeneration's work. The protocol is described in grpo_contract.weights.
"""

import contextlib
import secrets
import socket
import threading
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

from grpo_contract.weights import CHECKSUM_BYTES, TOKEN_LINE_BYTES, TensorInfo, WeightOffer

SILENCE_S: Final = 60.0
"""A generator that takes nothing for so long is gone."""
CHUNK_BYTES: Final = 16 << 20
"""SILENCE_S bounds the sending of one."""


def count_of(version: str) -> int:
    """How many versions its process had published with it."""
    return int(version.rpartition("-")[2])


@dataclass(frozen=True)
class WeightTensor:
    info: TensorInfo
    data: memoryview
    """Its bytes, one by one (format B), row-major."""

    @cached_property
    def checksum(self) -> bytes:
        """Computed by the first stream that gets here, so that publishing does not wait for it."""
        return zlib.crc32(self.data).to_bytes(CHECKSUM_BYTES, "big")


@dataclass(frozen=True)
class _Published:
    """Replaced as a whole, so that no thread sees the version of one and the tensors of another."""

    version: str
    count: int
    tensors: Sequence[WeightTensor] | None
    """None once they are withdrawn: the next ones are being made."""


class Offering:
    """An offer of one version and what was sent of it so far."""

    def __init__(self, offer: WeightOffer, version: str, tensors: Sequence[WeightTensor]) -> None:
        self.offer = offer
        self.version = version
        self.tensors = tensors
        self.sent_bytes = 0
        self._lock = threading.Lock()

    def count(self, sent: int) -> None:
        with self._lock:
            self.sent_bytes += sent


class WeightServer:
    """Offers the newest published weights. An offer keeps its own version alive: a generator that pulls while the next
    version is made and published gets one of the two, never half of each.

    A version is the whole model in host memory. So the last one is withdrawn before the next one is made, and whoever
    asks meanwhile waits: the last one would be of no use to it a moment later.
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
        """Free the published weights, but for what an open offer still needs. Theirs stays the newest version until `publish`."""
        with self._changed:
            self._published = replace(self._published, tensors=None)

    def publish(self, tensors: Sequence[WeightTensor]) -> None:
        count = self.count + 1
        with self._changed:
            self._published = _Published(f"{self._process}-{count}", count, tensors)
            self._changed.notify_all()

    @contextlib.contextmanager
    def offering(self) -> Iterator[Offering]:
        """An offer of the newest weights, once there are any; its token is good inside of the `with` block."""
        token = secrets.token_hex(16)
        version, tensors = self._newest()
        offer = WeightOffer(
            host=self._host,
            port=self._listener.getsockname()[1],
            token=token,
            tensors=tuple(tensor.info for tensor in tensors),
            total_bytes=sum(len(tensor.data) for tensor in tensors),
            deadline_s=self._deadline_s,
        )
        self._offerings[token] = offering = Offering(offer, version, tensors)
        try:
            yield offering
        finally:
            del self._offerings[token]

    def _newest(self) -> tuple[str, Sequence[WeightTensor]]:
        """Version and tensors. Whoever publishes ends with the process when it cannot, and so does this wait."""
        with self._changed:
            while (tensors := self._published.tensors) is None:
                self._changed.wait()
            return self._published.version, tensors

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
            offering = self._offerings.get(_read_token(connection))
            if offering is not None:
                _stream(connection, offering)


def _read_token(connection: socket.socket) -> str:
    line = b""
    while not line.endswith(b"\n") and len(line) < TOKEN_LINE_BYTES:
        received = connection.recv(TOKEN_LINE_BYTES - len(line))
        if not received:
            break
        line += received
    return line.decode(errors="replace").strip()


def _stream(connection: socket.socket, offering: Offering) -> None:
    for tensor in offering.tensors:
        for start in range(0, len(tensor.data), CHUNK_BYTES):
            connection.sendall(tensor.data[start : start + CHUNK_BYTES])
        connection.sendall(tensor.checksum)
        offering.count(len(tensor.data))
