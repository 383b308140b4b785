"""The learner's end of a stage, byte by byte over real sockets."""

import socket
import threading
import zlib
from collections.abc import Iterator, Sequence

import pytest

from grpo_contract.weights import BLOCK_BYTES, PART_HEADER, Changes, PartKind, TensorInfo
from grpo_trainer.fleet import weights
from grpo_trainer.fleet.weights import KEPT_DELTAS, WeightServer, WeightTensor
from harness.waiting import wait_for
from trainer.broken_senders import encoded

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


def stream_of(tensors: list[WeightTensor], block_bytes: int = BLOCK_BYTES) -> bytes:
    """As it is for a generator that has nothing."""
    return b"".join(encoded(t.data, block_bytes) for t in tensors)


def fetch(server: WeightServer, held: str) -> tuple[bytes, int]:
    """What comes for a generator that holds that version, and how many bytes of tensors and changes it was."""
    with server.offering() as offering:
        received = pull("127.0.0.1", offering.offer.port, f"{offering.offer.token} {held}\n".encode())
    return received, offering.sent_bytes


def change(data: bytes, kind: PartKind = PartKind.SPARSE_8, num_changes: int = 1) -> Changes:
    return Changes(kind, num_changes, data)


DENSE = change(b"", PartKind.DENSE, 0)


def parts_of(*changes: Changes) -> bytes:
    return bytes([len(changes)]) + b"".join(
        PART_HEADER.pack(change.kind, change.num_changes, len(change.data)) + change.data for change in changes
    )


def model(*contents: bytes) -> list[WeightTensor]:
    """Of one-byte elements."""
    return [
        WeightTensor(TensorInfo(name=f"t{number}", dtype="uint8", shape=(len(content),)), memoryview(content))
        for number, content in enumerate(contents)
    ]


def test_an_offer_describes_what_its_stream_holds(server: WeightServer) -> None:
    server.publish(FIRST)
    with server.offering() as offering:
        offer = offering.offer
        received = pull(offer.host, offer.port, offer.token.encode() + b"\n")
    assert [tensor.name for tensor in offer.tensors] == ["a", "b"]
    assert (offer.version, offer.total_bytes, offer.deadline_s) == (server.version, FIRST_BYTES, 5)
    assert offer.block_bytes == BLOCK_BYTES
    assert received == stream_of(FIRST)
    assert offering.sent_bytes == FIRST_BYTES


def test_a_generator_may_pull_again_with_the_same_token(server: WeightServer) -> None:
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


def test_a_large_tensor_is_streamed_in_blocks_with_a_checksum_each(
    server: WeightServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "BLOCK_BYTES", 1000)
    large = [
        WeightTensor(TensorInfo(name="w", dtype="uint8", shape=(4321,)), memoryview(bytes(range(256)) * 17)[:4321])
    ]
    server.publish(large)
    with server.offering() as offering:
        received = pull("127.0.0.1", offering.offer.port, offering.offer.token.encode() + b"\n")
    assert received == stream_of(large, 1000)
    assert received != stream_of(large)
    assert received[-4:] == zlib.crc32(large[0].data[4000:]).to_bytes(4, "big")


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


def test_weights_are_read_until_the_last_offer_and_stream_of_them_have_ended(server: WeightServer) -> None:
    """Until then the next version must not be written in their place."""
    tensors = model(bytes(50 << 20))  # more than sockets buffer
    in_use = {id(tensors[0].data)}
    server.publish(tensors)
    with server.offering() as offering:
        server.withdraw()
        assert server.in_use() == in_use
        connection = socket.create_connection(("127.0.0.1", offering.offer.port))
        connection.sendall(offering.offer.token.encode() + b" \n")
        assert connection.recv(1)
    version = server.version
    assert server.in_use() == in_use  # the stream outlives its offer
    connection.close()
    wait_for("the stream's end", lambda: not server.in_use(), DEADLINE_S, interval_s=0.01)
    assert (server.version, server.count) == (version, 1)  # nothing newer is there yet


def test_an_open_offer_keeps_withdrawn_weights(server: WeightServer) -> None:
    server.publish(FIRST)
    with server.offering() as offering:
        server.withdraw()
        assert pull("127.0.0.1", offering.offer.port, offering.offer.token.encode() + b"\n") == stream_of(FIRST)


def test_whoever_asks_between_two_versions_gets_the_second(
    server: WeightServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.publish(FIRST)
    server.withdraw()
    waits, offered = threading.Event(), list[tuple[str, list[str]]]()
    wait = server._changed.wait

    def told_wait() -> None:
        waits.set()
        wait()

    monkeypatch.setattr(server._changed, "wait", told_wait)

    def newcomer() -> None:
        with server.offering() as offering:
            offered.append((offering.version, [tensor.name for tensor in offering.offer.tensors]))

    thread = threading.Thread(target=newcomer, daemon=True)
    thread.start()
    assert waits.wait(DEADLINE_S)
    server.publish(SECOND)
    thread.join(DEADLINE_S)
    assert offered == [(server.version, ["a"])]
    assert server.count == 2


OLD, NEW, NEWER, NEWEST = b"0123456789", b"0a23456789", b"0a2345b789", b"0a2345b7cc"
ONE, TWO, THREE = change(b"\x01a"), change(b"\x06b"), change(b"\x08\x00cc", num_changes=2)


def publish_all(server: WeightServer) -> list[str]:
    """Four versions of a tensor that changes, beside one that does not. Returns their names."""
    versions = []
    changes: list[Sequence[Sequence[Changes | None]] | None] = [
        None,
        [[ONE], [None]],
        [[TWO], [None]],
        [[THREE], [None]],
    ]
    for content, changed in zip((OLD, NEW, NEWER, NEWEST), changes, strict=True):
        server.publish(model(content, b"same"), changed)
        versions.append(server.version)
    return versions


@pytest.mark.parametrize(
    ("missed", "parts"), [(0, b"\0"), (1, parts_of(THREE)), (2, parts_of(TWO, THREE)), (3, parts_of(ONE, TWO, THREE))]
)
def test_only_what_changed_travels(server: WeightServer, missed: int, parts: bytes) -> None:
    versions = publish_all(server)
    received, sent_bytes = fetch(server, versions[-1 - missed])
    assert received == parts + (zlib.crc32(NEWEST).to_bytes(4, "big") if missed else b"") + b"\0"
    assert sent_bytes == [0, 4, 6, 8][missed]


@pytest.mark.parametrize("held", ["", "default", "another-1", "\xff"])
def test_who_holds_no_version_of_ours_gets_everything(server: WeightServer, held: str) -> None:
    publish_all(server)
    assert fetch(server, held) == (stream_of(model(NEWEST, b"same")), 14)


def test_changes_larger_than_the_block_are_not_sent(server: WeightServer) -> None:
    versions = [server.version]
    changes = [None, [[change(bytes(5))]], [[change(bytes(4))]], [[change(bytes(1))]]]
    for changed in changes:
        server.publish(model(OLD), changed)
        versions.append(server.version)
    sent = [fetch(server, held)[1] for held in versions]
    assert sent == [10, 10, 5, 1, 0]  # 5 + 4 + 1 changes are no less than 10


def test_a_block_that_was_replaced_goes_whole_as_it_is_now(server: WeightServer) -> None:
    server.publish(model(OLD))
    first = server.version
    server.publish(model(NEW), [[DENSE]])
    server.publish(model(NEWER), [[TWO]])
    received, _ = fetch(server, first)
    assert received == stream_of(model(NEWER))


def test_a_version_without_changes_begins_anew(server: WeightServer) -> None:
    versions = publish_all(server)
    server.publish(model(OLD, b"same"))
    assert fetch(server, versions[-1]) == (stream_of(model(OLD, b"same")), 14)


def test_changes_are_kept_for_a_few_versions(server: WeightServer) -> None:
    server.publish(model(bytes(1000)))
    versions = [server.version]
    for number in range(KEPT_DELTAS + 1):
        server.publish(model(bytes(number + 1) + bytes(999 - number)), [[change(bytes(2))]])
        versions.append(server.version)
    assert fetch(server, versions[0])[1] == 1000
    assert fetch(server, versions[1])[1] == 2 * KEPT_DELTAS


def test_kept_changes_take_no_more_memory_than_the_model(server: WeightServer) -> None:
    """Beside a tensor that changes much there is one that does not, for which old changes would be of use."""
    server.publish(model(OLD, OLD))
    first = server.version
    server.publish(model(OLD, OLD), [[change(bytes(8))], [change(bytes(3))]])
    second = server.version
    server.publish(model(OLD, OLD), [[change(bytes(9))], [None]])
    assert fetch(server, first)[1] == 10 + 3
    server.publish(model(OLD, OLD), [[change(bytes(1))], [None]])
    assert fetch(server, first)[1] == 20
    assert fetch(server, second)[1] == 10
