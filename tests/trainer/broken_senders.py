"""Learners whose weight stream is not what they offered. Each is a WeightSource for Generator.update."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

from grpo_contract.weights import PART_HEADER, PartKind, blocks, checksum
from grpo_trainer.fleet.weights import Offering, WeightServer, WeightTensor
from harness.daemons import free_port

Send = Callable[[socket.socket, list[WeightTensor]], None]
BLOCK_BYTES = 1 << 20


class BrokenSender:
    """Offers what `honest` offers, and sends something else: `send` writes to each connection, then it is closed."""

    def __init__(self, honest: WeightServer, send: Send) -> None:
        self._honest = honest
        self._send = send

    @property
    def version(self) -> str:
        return self._honest.version

    @contextlib.contextmanager
    def offering(self) -> Iterator[Offering]:
        with self._honest.offering() as offering, socket.create_server(("127.0.0.1", 0)) as listener:
            threading.Thread(target=self._serve, args=(listener, list(offering.tensors)), daemon=True).start()
            there = {"port": listener.getsockname()[1], "block_bytes": BLOCK_BYTES}
            offering.offer = offering.offer.model_copy(update=there)
            yield offering

    def _serve(self, listener: socket.socket, tensors: list[WeightTensor]) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1000)
            self._send(connection, tensors)


class AbsentLearner:
    """Nothing listens where its offer points."""

    def __init__(self, honest: WeightServer) -> None:
        self._honest = honest

    @property
    def version(self) -> str:
        return self._honest.version

    @contextlib.contextmanager
    def offering(self) -> Iterator[Offering]:
        with self._honest.offering() as offering:
            offering.offer = offering.offer.model_copy(update={"port": free_port()})
            yield offering


def encode(tensor: WeightTensor) -> bytes:
    return encoded(tensor.data, BLOCK_BYTES)


def encoded(data: memoryview, block_bytes: int) -> bytes:
    """As a generator gets it that has nothing."""
    return b"".join(
        b"\x01" + PART_HEADER.pack(PartKind.DENSE, 0, len(data[block])) + data[block] + checksum(data[block])
        for block in blocks(len(data), block_bytes)
    )


def cut_in(number: int) -> Send:
    """The stream ends in the middle of one tensor, all before it are right."""

    def send(connection: socket.socket, tensors: list[WeightTensor]) -> None:
        connection.sendall(b"".join(encode(tensor) for tensor in tensors[:number]))
        cut = 1 + PART_HEADER.size + len(tensors[number].data) // 2
        connection.sendall(encode(tensors[number])[:cut])

    return send


def flip_a_bit_in(number: int) -> Send:
    """One tensor differs from its checksum, all others are right."""

    def send(connection: socket.socket, tensors: list[WeightTensor]) -> None:
        for position, tensor in enumerate(tensors):
            stream = bytearray(encode(tensor))
            if position == number:
                stream[1 + PART_HEADER.size] ^= 1
            with contextlib.suppress(OSError):  # the receiver hung up
                connection.sendall(stream)

    return send


def send_too_much(connection: socket.socket, tensors: list[WeightTensor]) -> None:
    connection.sendall(b"".join(encode(tensor) for tensor in tensors) + b"!")


def hang_up(connection: socket.socket, tensors: list[WeightTensor]) -> None:
    """As the real server answers a token that it does not know."""
