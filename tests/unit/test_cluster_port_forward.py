"""A port-forward ends with its block, and one that does not begin is not waited for without end."""

import time

import pytest

from cluster.port_forward import forwarded
from cluster.waiting import ClusterError

STUBBORN = "trap '' TERM; echo 'Forwarding from 127.0.0.1:4711 -> 8080'; exec sleep 60"
SOON_S = 20.0


def test_it_ends_with_a_block_that_fails() -> None:
    start = time.monotonic()
    with pytest.raises(ConnectionRefusedError), forwarded(["sh", "-c", STUBBORN]) as address:
        assert address == "http://127.0.0.1:4711"
        raise ConnectionRefusedError
    assert time.monotonic() - start < SOON_S


def test_silence_ends_at_the_deadline() -> None:
    start = time.monotonic()
    with pytest.raises(ClusterError, match=r"^sleep 60: said nothing within 0\.1 s$"), forwarded(["sleep", "60"], 0.1):
        pass
    assert time.monotonic() - start < SOON_S


def test_another_line_is_what_went_wrong() -> None:
    with pytest.raises(ClusterError, match="pods not found"), forwarded(["sh", "-c", "echo pods not found >&2"]):
        pass
