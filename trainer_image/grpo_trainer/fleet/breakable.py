"""Requests that nobody waits for any more are ended: a server that hangs, and goes on later, must not answer them then.

`requests` has no way to break off a request from another thread, so its connections tell here which sockets they have.
"""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any, ParamSpec, TypeVar

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool
from urllib3.connection import HTTPConnection

from grpo_trainer.fleet.background import in_background
from grpo_trainer.fleet.keep_alive import TO_GENERATORS

P = ParamSpec("P")
T = TypeVar("T")


class _Opened(threading.local):
    """By the call that this thread makes."""

    sockets: list[socket.socket] | None = None


_OPENED = _Opened()


class _Connection(HTTPConnection):
    def connect(self) -> None:
        super().connect()
        if _OPENED.sockets is not None:
            _OPENED.sockets.append(self.sock)


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class BreakableAdapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        options = [*HTTPConnection.default_socket_options, *TO_GENERATORS]  # by default, small packets go at once
        super().init_poolmanager(*args, socket_options=options, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool}


@contextlib.contextmanager
def breakable(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Iterator[Future[T]]:
    """A call in a thread of its own. What it waits for at the end of the `with` block is broken off."""
    sockets: list[socket.socket] = []

    def run() -> T:
        _OPENED.sockets = sockets
        return call(*args, **kwargs)

    answer = in_background(run)
    try:
        yield answer
    finally:
        if not answer.done():
            for each in sockets:
                with contextlib.suppress(OSError):  # it is closed
                    each.shutdown(socket.SHUT_RDWR)
