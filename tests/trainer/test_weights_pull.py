"""The generator's end of a stage: its mirror is what was offered, or nothing."""

import socket
import time
from collections.abc import Iterator

import pytest
import torch

from grpo_contract.weights import PART_HEADER, PartKind, StagedWeights, TensorInfo, WeightOffer
from grpo_generator.engine import loadable
from grpo_generator.mirror import Mirror, MirrorError, tensors_of
from grpo_generator.pull import PullError, pull
from grpo_trainer.fleet.generation import weight_tensor
from grpo_trainer.fleet.snapshot import Snapshot
from grpo_trainer.fleet.weights import Offering, WeightServer, WeightTensor
from trainer.broken_senders import BrokenSender, Send, cut_in, encode, flip_a_bit_in, hang_up, send_too_much

SLACK_S = 3.0


def tensors() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {
        "float32": torch.randn(3, 5),
        "bfloat16": torch.randn(1000, 7).to(torch.bfloat16),
        "scalar": torch.tensor(2.5, dtype=torch.float64),
        "transposed": torch.randn(4, 6).t(),
        "integer": torch.arange(10, dtype=torch.int32),
        "empty": torch.empty(0, 3),
    }


@pytest.fixture
def server() -> Iterator[WeightServer]:
    server = WeightServer("127.0.0.1", 0, deadline_s=5)
    publish(tensors(), Snapshot(server))
    yield server
    server.close()


@pytest.fixture
def mirror() -> Mirror:
    return Mirror()


def publish(model: dict[str, torch.Tensor], snapshot: Snapshot) -> None:
    snapshot.publish(weight_tensor(name, tensor) for name, tensor in model.items())


def staged(offering: Offering, mirror: Mirror) -> StagedWeights:
    return StagedWeights(path=mirror.path, version=offering.version, tensors=offering.offer.tensors)


def test_tensors_arrive_bit_for_bit(server: WeightServer, mirror: Mirror) -> None:
    with server.offering() as offering:
        pull(offering.offer, mirror)
    pulled = dict(loadable(staged(offering, mirror)))
    assert list(pulled) == list(tensors())
    for name, tensor in tensors().items():
        assert pulled[name].dtype == tensor.dtype
        assert pulled[name].shape == tensor.shape
        assert torch.equal(pulled[name], tensor)


def test_changes_make_the_same_bytes_as_all_of_it(mirror: Mirror) -> None:
    """Four versions, of which the mirror gets every other one; then a fresh mirror gets the last."""
    server = WeightServer("127.0.0.1", 0, deadline_s=5)
    snapshot, model, sent = Snapshot(server), {"w": torch.randn(3_000_000).to(torch.bfloat16)} | tensors(), []
    for number in range(4):
        publish(model, snapshot)
        if number != 1:
            with server.offering() as offering:
                pull(offering.offer, mirror)
            sent.append(offering.sent_bytes)
        model["w"][number::100] += 1
        model["float32"][0, number] = torch.nan
    fresh = Mirror()
    with server.offering() as newest:
        pull(newest.offer, fresh)
    patched, whole = ([bytes(data) for _, data in tensors_of(staged(newest, held))] for held in (mirror, fresh))
    assert patched == whole
    gap_and_element, nan = 3, 5
    assert sent == [6_014_204, 2 * (30_000 * gap_and_element + nan), 30_000 * gap_and_element + nan]
    server.close()


def test_what_it_has_travels_no_more(server: WeightServer, mirror: Mirror) -> None:
    for size_bytes in (14_204, 0):
        with server.offering() as offering:
            pull(offering.offer, mirror)
        assert offering.sent_bytes == size_bytes


def test_a_failed_pull_leaves_no_version_and_the_next_one_brings_all(server: WeightServer, mirror: Mirror) -> None:
    with server.offering() as offering:
        pull(offering.offer, mirror)
    with BrokenSender(server, cut_in(3)).offering() as broken, pytest.raises(PullError):
        pull(broken.offer, mirror)
    with pytest.raises(MirrorError, match=f"the weights in memory are none, not {server.version}"):
        dict(loadable(staged(offering, mirror)))
    with server.offering() as offering:
        pull(offering.offer, mirror)
    assert offering.sent_bytes == 14_204
    assert torch.equal(dict(loadable(staged(offering, mirror)))["integer"], tensors()["integer"])


def test_changes_that_do_not_lead_to_the_new_bytes_are_found(server: WeightServer, mirror: Mirror) -> None:
    """The mirror was not what the learner took it for."""
    with server.offering() as offering:
        pull(offering.offer, mirror)
    held = next(mirror.lay_out(offering.offer.tensors))
    held[0] ^= 1
    changed = tensors()
    changed["float32"][2, 2] = 1.5

    def send(connection: socket.socket, offered: list[WeightTensor]) -> None:
        part = b"\x0c" + bytes(weight_tensor("", torch.tensor(1.5)).data)
        checksum = encode(weight_tensor("", changed["float32"]))[-4:]
        connection.sendall(b"\x01" + PART_HEADER.pack(PartKind.SPARSE_8, 1, len(part)) + part + checksum)

    with BrokenSender(server, send).offering() as broken, pytest.raises(PullError, match="the checksum of float32"):
        pull(broken.offer, mirror)
    assert mirror.version == ""


@pytest.mark.parametrize(
    ("part", "complaint"),
    [
        (PART_HEADER.pack(9, 0, 60) + bytes(60), "a part of kind 9 with 60 bytes is none of float32"),
        (PART_HEADER.pack(PartKind.DENSE, 0, 59) + bytes(59), "a part of kind 0 with 59 bytes is none of float32"),
        (PART_HEADER.pack(PartKind.SPARSE_8, 1, 61) + bytes(61), "a part of kind 1 with 61 bytes is none of float32"),
        (PART_HEADER.pack(PartKind.SPARSE_8, 1, 5) + b"\x0fabcd", "float32: 1 changes of 1 for a block of 15 elements"),
    ],
)
def test_parts_that_cannot_be_are_refused(server: WeightServer, mirror: Mirror, part: bytes, complaint: str) -> None:
    def send(connection: socket.socket, _: list[WeightTensor]) -> None:
        connection.sendall(b"\x01" + part)

    with BrokenSender(server, send).offering() as offering, pytest.raises(PullError, match=f"^{complaint}$"):
        pull(offering.offer, mirror)


@pytest.mark.parametrize(
    ("send", "complaint"),
    [
        (hang_up, "the stream ended 1 bytes before the end of float32"),
        (cut_in(1), "the stream ended 7000 bytes before the end of bfloat16"),
        (flip_a_bit_in(2), "the checksum of scalar does not match its bytes"),
        (send_too_much, "the stream is longer than its offer"),
    ],
)
def test_a_stream_that_is_not_what_was_offered_is_refused(server: WeightServer, send: Send, complaint: str) -> None:
    with BrokenSender(server, send).offering() as offering, pytest.raises(PullError, match=rf"^{complaint}$"):
        pull(offering.offer, Mirror())


def test_a_wrong_token_gets_nothing(server: WeightServer) -> None:
    with (
        server.offering() as offering,
        pytest.raises(PullError, match="the stream ended 1 bytes before the end of float32"),
    ):
        pull(offering.offer.model_copy(update={"token": "guessed"}), Mirror())


def test_an_offer_that_contradicts_itself_is_refused_unread(server: WeightServer) -> None:
    with server.offering() as offering:
        offer = offering.offer.model_copy(update={"total_bytes": offering.offer.total_bytes + 4})
        with pytest.raises(PullError, match=r"the offer describes 14204 bytes of tensors and announces 14208"):
            pull(offer, Mirror())
    assert offering.sent_bytes == 0


def test_a_silent_learner_ends_the_pull_at_its_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        offer = WeightOffer(
            host="127.0.0.1",
            port=silent.getsockname()[1],
            version="a-1",
            token="token",
            block_bytes=1024,
            tensors=(TensorInfo(name="w", dtype="float32", shape=(1,)),),
            total_bytes=4,
            deadline_s=0.3,
        )
        started = time.monotonic()
        with pytest.raises(PullError, match="the learner fell silent at w"):
            pull(offer, Mirror())
        assert 0.2 <= time.monotonic() - started < SLACK_S


def test_an_unknown_dtype_is_named() -> None:
    info = TensorInfo(name="w", dtype="float33", shape=(1,))
    offer = WeightOffer(
        version="a-1", host="", port=1, token="", tensors=(info,), total_bytes=4, block_bytes=1024, deadline_s=1
    )
    with pytest.raises(PullError, match="w has the unknown dtype float33"):
        pull(offer, Mirror())
