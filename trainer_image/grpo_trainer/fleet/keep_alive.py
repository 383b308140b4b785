"""Connections to a node that vanished, which says nothing of it: the kernel asks, and breaks them when nobody answers."""

import errno
import socket
from typing import Final

SocketOptions = tuple[tuple[int, int, int], ...]
"""(level, option, value) of each."""


def keep_alive(idle_s: int, every_s: int, most_missed: int) -> SocketOptions:
    """Broken idle_s + most_missed * every_s after the last byte came, or after what was sent then, of which nobody tells that it came."""
    return (
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, idle_s),
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, every_s),
        (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, most_missed),
        (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1000 * (idle_s + most_missed * every_s)),
    )


TO_GENERATORS: Final = keep_alive(idle_s=15, every_s=5, most_missed=4)
"""Their requests go elsewhere 35 s later, instead of at their deadline."""
BETWEEN_LEARNERS: Final = keep_alive(idle_s=15, every_s=10, most_missed=6)
"""A break is the end of the attempt, which half a minute without network (a switch that starts again) is no reason for."""


def has_vanished(error: Exception) -> bool:
    """Whether it says that the other end's node, or the network to it, is gone. A process that ends closes its connections."""
    unreachable = (errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH)
    return isinstance(error, TimeoutError) or (isinstance(error, OSError) and error.errno in unreachable)
