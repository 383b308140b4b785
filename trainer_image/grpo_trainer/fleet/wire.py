"""Messages from rank 0 to the other ranks, apart from their collectives: they come while ranks learn. The other way there is
nothing but a call, which says that a rank's pod is asked to end.

A collective would have to be called by all ranks at the same moment of training, in an order that a second thread must not
disturb. Rank 0 sends each of them its own completions only.
"""

import contextlib
import queue
import secrets
import socket
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, Final

from grpo_contract.failure import PodReason, RunFailure
from grpo_trainer.fleet.keep_alive import BETWEEN_LEARNERS, has_vanished

TOKEN_BYTES: Final = 32
HELLO_BYTES: Final = TOKEN_BYTES + 4
CONNECTED_WITHIN_S: Final = 60.0
HELLO_WITHIN_S: Final = 5.0
"""After that rank 0 goes on to the next connection. Ranks say who they are as soon as they are connected."""
CALL: Final = b"!"
SIGN_OF_LIFE_S: Final = 10.0
"""How often rank 0 says something, at least, also when there is nothing to bring and while the fleet is busy."""
LONGEST_SILENCE_S: Final = 3 * SIGN_OF_LIFE_S
"""A rank puts up with at least so much."""


Vanished = Callable[[int], None]
"""Takes the rank whose node, or the network to it, is gone: no collective with it will ever end."""


@dataclass(frozen=True)
class Address:
    """Where rank 0 takes the others' connections, and what shows that one is of this run: what comes over it is unpickled
    by the rank that connected, to rank 0 alone."""

    host: str
    port: int
    token: bytes


class _Outbox:
    """What goes to one rank, from a thread of its own: one that takes nothing keeps neither the fleet nor the others
    waiting."""

    def __init__(self, connection: Connection, on_vanished: Callable[[], None]) -> None:
        self._connection, self._on_vanished = connection, on_vanished
        self._messages: queue.SimpleQueue[tuple[Any, Future[None]]] = queue.SimpleQueue()
        threading.Thread(target=self._run, daemon=True, name="sender of completions").start()

    def put(self, message: Any) -> Future[None]:
        """Done when it is on its way."""
        sent: Future[None] = Future()
        self._messages.put((message, sent))
        return sent

    def has_called(self) -> bool:
        """One that is gone has not."""
        try:
            return self._connection.poll() and self._connection.recv_bytes(len(CALL)) == CALL
        except (OSError, EOFError) as error:
            self._lose(error)
        return False

    def _run(self) -> None:
        while True:
            message, sent = self._next()
            try:
                self._connection.send(message)
            except OSError as error:
                self._lose(error)
            sent.set_result(None)

    def _lose(self, error: Exception) -> None:
        """A rank that is gone has ended the run, and says so itself, unless its node went with it."""
        if has_vanished(error):
            self._on_vanished()

    def _next(self) -> tuple[Any, Future[None]]:
        try:
            return self._messages.get(timeout=SIGN_OF_LIFE_S)
        except queue.Empty:
            return None, Future()  # a sign of life


class Exchange:
    """Rank 0's end."""

    def __init__(self, host: str, on_vanished: Vanished) -> None:
        self._on_vanished = on_vanished
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family)
        self.address = Address(host, self._listener.getsockname()[1], secrets.token_bytes(TOKEN_BYTES))
        self._outboxes: dict[int, _Outbox] = {}

    def wait_for(self, num_ranks: int) -> None:
        """Until that many others are connected.

        Raises:
            RunFailure: not in time.
        """
        deadline_s = time.monotonic() + CONNECTED_WITHIN_S
        try:
            while len(self._outboxes) < num_ranks:
                self._listener.settimeout(_left_s(deadline_s))
                self._admit(self._listener.accept()[0])
        except TimeoutError as error:
            message = (
                f"{num_ranks - len(self._outboxes)} of {num_ranks} ranks do not connect to rank 0 for completions."
            )
            raise RunFailure(PodReason.RENDEZVOUS_TIMEOUT, message) from error
        self._listener.close()

    def _admit(self, connection: socket.socket) -> None:
        """If it is a rank's; whatever a stranger does, the others' turn comes."""
        try:
            hello = _hello(connection)
        except OSError:
            hello = b""
        if not secrets.compare_digest(hello[:TOKEN_BYTES], self.address.token):
            connection.close()
            return
        rank = int.from_bytes(hello[TOKEN_BYTES:], "big")
        self._outboxes[rank] = _Outbox(_kept_alive(connection), partial(self._on_vanished, rank))

    def send(self, messages: Mapping[int, Any]) -> list[Future[None]]:
        """By rank. Each is done when its message is on its way."""
        return [self._outboxes[rank].put(message) for rank, message in messages.items()]

    def is_called(self) -> bool:
        """Whether one of the ranks has called since the last time."""
        return any(outbox.has_called() for outbox in self._outboxes.values())

    @property
    def ranks(self) -> list[int]:
        return list(self._outboxes)


def _hello(connection: socket.socket) -> bytes:
    """
    Raises:
        OSError: it is not all there in time, or the connection ended before.
    """
    hello, deadline_s = b"", time.monotonic() + HELLO_WITHIN_S
    while len(hello) < HELLO_BYTES:
        connection.settimeout(_left_s(deadline_s))
        if not (more := connection.recv(HELLO_BYTES - len(hello))):
            raise ConnectionAbortedError
        hello += more
    return hello


def _left_s(deadline_s: float) -> float:
    if (left_s := deadline_s - time.monotonic()) <= 0:
        raise TimeoutError
    return left_s


def call(connection: Connection) -> None:
    """Rank 0, over another rank's connection to it; any thread may take what comes over it meanwhile."""
    with contextlib.suppress(OSError):  # it is gone, and whoever waits for it learns that
        connection.send_bytes(CALL)


def connect(address: Address, rank: int) -> Connection:
    """
    Raises:
        RunFailure: not in time.
    """
    try:
        connection = socket.create_connection((address.host, address.port), timeout=CONNECTED_WITHIN_S)
    except OSError as error:
        if not has_vanished(error):
            raise
        message = (
            f"rank {rank} cannot connect to rank 0 ({address.host}) for completions ({error}; {CONNECTED_WITHIN_S:.0f} s are given "
            "to it): look at the NetworkPolicies between learners."
        )
        raise RunFailure(PodReason.RENDEZVOUS_TIMEOUT, message) from error
    connection.sendall(address.token + rank.to_bytes(4, "big"))
    return _kept_alive(connection)


def _kept_alive(connection: socket.socket) -> Connection:
    for option in BETWEEN_LEARNERS:
        connection.setsockopt(*option)
    connection.settimeout(None)
    return Connection(connection.detach())
