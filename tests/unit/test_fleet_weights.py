"""The learner's end of a pull, byte by byte over real sockets."""

import socket
import threading
import weakref
import zlib
from collections.abc import Iterator

import pytest

from grpo_contract.weights import CHECKSUM_BYTES, TensorInfo
from grpo_trainer.fleet import weights
from grpo_trainer.fleet.weights import WeightServer, WeightTensor
from harness.waiting import wait_for

FIRST = [
    WeightTensor(TensorInfo(name="a", dtype="uint8", shape=(3,)), memoryview(b"abc")),
    WeightTensor(TensorInfo(name="b", dtype="float32", shape=(1, 1)), memoryview(b"\x00\x01\x02\x03")),
]
SECOND = [WeightTensor(TensorInfo(name="a", dtype="uint8", shape=(3,)), memoryview(b"xyz"))]
FIRST_BYTES = 7
DEADLINE_S = 20


@pytest.fixture
def server() -> Iterator[WeightServer]:
    server = WeightServer("127.0.0.1", 0, deadline_s=5)
    yield server
    server.close()


def pull(host: str, port: int, line: bytes) -> bytes:
    """All that comes for a first line, until the server closes."""
    with socket.create_connection((host, port), timeout=5) as connection:
        connection.sendall(line)
        received = b""
        while chunk := connection.recv(1 << 16):
            received += chunk
        return received


def stream_of(tensors: list[WeightTensor]) -> bytes:
    return b"".join(bytes(t.data) + zlib.crc32(t.data).to_bytes(CHECKSUM_BYTES, "big") for t in tensors)


def test_an_offer_describes_what_its_stream_holds(server: WeightServer) -> None:
    server.publish(FIRST)
    with server.offering() as offering:
        offer = offering.offer
        received = pull(offer.host, offer.port, offer.token.encode() + b"\n")
    assert [tensor.name for tensor in offer.tensors] == ["a", "b"]
    assert (offer.total_bytes, offer.deadline_s) == (FIRST_BYTES, 5)
    assert received == stream_of(FIRST)
    assert offering.sent_bytes == FIRST_BYTES


def test_every_worker_of_a_generator_may_pull_with_the_same_token(server: WeightServer) -> None:
    server.publish(FIRST)
    with server.offering() as offering:
        line = offering.offer.token.encode() + b"\n"
        assert [pull("127.0.0.1", offering.offer.port, line) for _ in range(2)] == [stream_of(FIRST)] * 2
    assert offering.sent_bytes == 2 * FIRST_BYTES


def test_a_token_is_good_inside_of_its_offer_only(server: WeightServer) -> None:
    server.publish(FIRST)
    with server.offering() as offering:
        pass
    assert pull("127.0.0.1", offering.offer.port, offering.offer.token.encode() + b"\n") == b""


@pytest.mark.parametrize("line", [b"\n", b"no-token\n", b"\xff\xfe\n", b"x" * 4096])
def test_whoever_has_no_token_gets_no_byte(server: WeightServer, line: bytes) -> None:
    server.publish(FIRST)
    with server.offering() as offering:
        try:
            received = pull("127.0.0.1", offering.offer.port, line)
        except ConnectionResetError:  # the server closed with our bytes unread
            received = b""
    assert received == b""
    assert offering.sent_bytes == 0


def test_an_offer_keeps_its_version_when_the_next_is_published(server: WeightServer) -> None:
    server.publish(FIRST)
    with server.offering() as offering:
        server.publish(SECOND)
        assert pull("127.0.0.1", offering.offer.port, offering.offer.token.encode() + b"\n") == stream_of(FIRST)
        with server.offering() as newer:
            assert pull("127.0.0.1", newer.offer.port, newer.offer.token.encode() + b"\n") == stream_of(SECOND)
    assert offering.version != newer.version == server.version


def test_versions_count_and_differ_between_processes(server: WeightServer) -> None:
    other = WeightServer("127.0.0.1", 0, deadline_s=5)
    for source in (server, other):
        source.publish(FIRST)
    assert (server.count, other.count) == (1, 1)
    assert server.version != other.version
    other.close()


def test_a_large_tensor_is_streamed_in_parts_under_one_checksum(
    server: WeightServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "CHUNK_BYTES", 1000)
    large = [
        WeightTensor(TensorInfo(name="w", dtype="uint8", shape=(4321,)), memoryview(bytes(range(256)) * 17)[:4321])
    ]
    server.publish(large)
    with server.offering() as offering:
        assert pull("127.0.0.1", offering.offer.port, offering.offer.token.encode() + b"\n") == stream_of(large)


def test_a_checksum_is_computed_once_for_all_streams(server: WeightServer, monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = [WeightTensor(tensor.info, tensor.data) for tensor in FIRST]
    expected = stream_of(tensors)
    summed: list[bytes] = []
    crc32 = zlib.crc32

    def counted(data: memoryview, start: int = 0) -> int:
        summed.append(bytes(data))
        return crc32(data, start)

    monkeypatch.setattr(zlib, "crc32", counted)
    server.publish(tensors)
    for _ in range(3):
        with server.offering() as offering:
            assert pull("127.0.0.1", offering.offer.port, offering.offer.token.encode() + b"\n") == expected
    assert summed == [b"abc", b"\x00\x01\x02\x03"]


def test_a_closed_server_refuses_connections() -> None:
    server = WeightServer("127.0.0.1", 0, deadline_s=5)
    server.publish(FIRST)
    with server.offering() as offering:
        server.close()
        with pytest.raises(ConnectionError):
            pull("127.0.0.1", offering.offer.port, offering.offer.token.encode() + b"\n")


def test_withdrawn_weights_are_freed(server: WeightServer) -> None:
    weights = [WeightTensor(tensor.info, tensor.data) for tensor in FIRST]
    copies = [weakref.ref(tensor) for tensor in weights]
    server.publish(weights)
    del weights
    with server.offering() as offering:
        pull("127.0.0.1", offering.offer.port, offering.offer.token.encode() + b"\n")
    del offering
    version = server.version
    server.withdraw()
    wait_for("the stream's end", lambda: not any(copy() for copy in copies), DEADLINE_S, interval_s=0.01)
    assert (server.version, server.count) == (version, 1)  # nothing newer is there yet


def test_an_open_offer_keeps_withdrawn_weights(server: WeightServer) -> None:
    server.publish(FIRST)
    with server.offering() as offering:
        server.withdraw()
        assert pull("127.0.0.1", offering.offer.port, offering.offer.token.encode() + b"\n") == stream_of(FIRST)


def test_whoever_asks_between_two_versions_gets_the_second(server: WeightServer) -> None:
    server.publish(FIRST)
    server.withdraw()
    asked, offered = threading.Event(), list[tuple[str, list[str]]]()

    def newcomer() -> None:
        asked.set()
        with server.offering() as offering:
            offered.append((offering.version, [tensor.name for tensor in offering.offer.tensors]))

    thread = threading.Thread(target=newcomer, daemon=True)
    thread.start()
    assert asked.wait(DEADLINE_S)
    assert offered == []
    server.publish(SECOND)
    thread.join(DEADLINE_S)
    assert offered == [(server.version, ["a"])]
    assert server.count == 2
