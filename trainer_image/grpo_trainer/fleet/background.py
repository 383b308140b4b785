"""Run a call in a thread of its own.

concurrent.futures' executors join their threads when the interpreter ends: a learner that gave up would hang on until
the slowest request came to its deadline. Daemon threads let it go.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def in_background(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(call(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True, name=getattr(call, "__qualname__", None)).start()
    return future
