"""The generator's end of a pull: what comes through is what was offered, or nothing does."""

import socket
import time
from collections.abc import Iterator

import pytest
import torch

from grpo_contract.weights import TensorInfo, WeightOffer
from grpo_generator.pull import PullError, pull
from grpo_trainer.fleet.generation import weight_tensor
from grpo_trainer.fleet.weights import WeightServer
from trainer.broken_senders import BrokenSender, Send, cut_in, flip_a_bit_in, hang_up, send_too_much

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
    server.publish([weight_tensor(name, tensor) for name, tensor in tensors().items()])
    yield server
    server.close()


def test_tensors_arrive_bit_for_bit(server: WeightServer) -> None:
    with server.offering() as offering:
        pulled = dict(pull(offering.offer))
    assert list(pulled) == list(tensors())
    for name, tensor in tensors().items():
        assert pulled[name].dtype == tensor.dtype
        assert pulled[name].shape == tensor.shape
        assert torch.equal(pulled[name], tensor)


@pytest.mark.parametrize(
    ("send", "complaint"),
    [
        (hang_up, "the stream ended 60 bytes before the end of float32"),
        (cut_in(1), "the stream ended 7000 bytes before the end of bfloat16"),
        (flip_a_bit_in(2), "the checksum of scalar does not match its bytes"),
        (send_too_much, "the stream is longer than its offer"),
    ],
)
def test_a_stream_that_is_not_what_was_offered_is_refused(server: WeightServer, send: Send, complaint: str) -> None:
    with BrokenSender(server, send).offering() as offering, pytest.raises(PullError, match=rf"^{complaint}$"):
        list(pull(offering.offer))


def test_a_wrong_token_gets_nothing(server: WeightServer) -> None:
    with server.offering() as offering, pytest.raises(PullError, match="the stream ended 60 bytes before the end of"):
        list(pull(offering.offer.model_copy(update={"token": "guessed"})))


def test_an_offer_that_contradicts_itself_is_refused_unread(server: WeightServer) -> None:
    with server.offering() as offering:
        offer = offering.offer.model_copy(update={"total_bytes": offering.offer.total_bytes + 4})
        with pytest.raises(PullError, match=r"the offer describes 14204 bytes of tensors and announces 14208"):
            list(pull(offer))
    assert offering.sent_bytes == 0


def test_a_silent_learner_ends_the_pull_at_its_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        offer = WeightOffer(
            host="127.0.0.1",
            port=silent.getsockname()[1],
            token="token",
            tensors=(TensorInfo(name="w", dtype="float32", shape=(1,)),),
            total_bytes=4,
            deadline_s=0.3,
        )
        started = time.monotonic()
        with pytest.raises(PullError, match="the learner fell silent at w"):
            list(pull(offer))
        assert 0.2 <= time.monotonic() - started < SLACK_S


def test_an_unknown_dtype_is_named() -> None:
    info = TensorInfo(name="w", dtype="float33", shape=(1,))
    offer = WeightOffer(host="", port=1, token="", tensors=(info,), total_bytes=4, deadline_s=1)
    with pytest.raises(PullError, match="w has the unknown dtype float33"):
        list(pull(offer))
