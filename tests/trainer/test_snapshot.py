"""Versions of the weights, made in learner 0's memory one in the place of the other."""

import tracemalloc
from collections.abc import Iterator

import numpy
import pytest
import torch

from grpo_contract.weights import BLOCK_BYTES
from grpo_trainer.fleet.generation import weight_tensor
from grpo_trainer.fleet.snapshot import MOST_THREADS, Snapshot
from grpo_trainer.fleet.weights import WeightServer

ONE_BLOCK = BLOCK_BYTES // 2
"""Elements of bfloat16."""


@pytest.fixture
def server() -> Iterator[WeightServer]:
    server = WeightServer("127.0.0.1", 0, deadline_s=5)
    yield server
    server.close()


@pytest.fixture
def model() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {
        "large": torch.randn(5 * ONE_BLOCK // 2).to(torch.bfloat16),
        "frozen": torch.randn(100).to(torch.bfloat16),
        "float32": torch.randn(30, 10),
    }


def publish(model: dict[str, torch.Tensor], snapshot: Snapshot) -> None:
    snapshot.publish(weight_tensor(name, tensor) for name, tensor in model.items())


def kept(server: WeightServer) -> dict[str, bytes]:
    with server.offering() as offering:
        return {tensor.info.name: bytes(tensor.data) for tensor in offering.tensors}


def bytes_of(model: dict[str, torch.Tensor]) -> dict[str, bytes]:
    return {name: bytes(weight_tensor(name, tensor).data) for name, tensor in model.items()}


def addresses(server: WeightServer) -> list[int]:
    with server.offering() as offering:
        return [
            numpy.frombuffer(tensor.data, numpy.uint8).__array_interface__["data"][0] for tensor in offering.tensors
        ]


def change(model: dict[str, torch.Tensor], *positions: int) -> None:
    for position in positions:
        model["large"][position] += 1


def test_a_version_stays_what_it_was_when_training_goes_on(
    server: WeightServer, model: dict[str, torch.Tensor]
) -> None:
    publish(model, Snapshot(server))
    published = bytes_of(model)
    change(model, 0)
    assert kept(server) == published != bytes_of(model)


def test_the_next_version_takes_the_place_of_the_last_one(server: WeightServer, model: dict[str, torch.Tensor]) -> None:
    snapshot = Snapshot(server)
    publish(model, snapshot)
    before = addresses(server)
    change(model, 1, ONE_BLOCK + 1)
    model["float32"] += 1
    publish(model, snapshot)
    assert addresses(server) == before
    assert kept(server) == bytes_of(model)


def test_a_version_that_is_being_read_stays_until_then(server: WeightServer, model: dict[str, torch.Tensor]) -> None:
    snapshot = Snapshot(server)
    publish(model, snapshot)
    before, first = addresses(server), bytes_of(model)
    with server.offering() as reading:
        change(model, 0)
        publish(model, snapshot)
        assert {tensor.info.name: bytes(tensor.data) for tensor in reading.tensors} == first
    assert kept(server) == bytes_of(model)
    large, frozen, float32 = addresses(server)
    assert large != before[0]
    assert [frozen, float32] == before[1:]  # unchanged, and so both versions'


def test_a_version_that_is_read_for_long_costs_one_copy(server: WeightServer, model: dict[str, torch.Tensor]) -> None:
    """Whatever the number of versions meanwhile; and also of a tensor that changes only in a later one."""
    snapshot = Snapshot(server)
    publish(model, snapshot)
    first = bytes_of(model)
    with server.offering() as reading:
        change(model, 0)
        publish(model, snapshot)
        second = addresses(server)
        model["frozen"][0] += 1
        change(model, 1)
        publish(model, snapshot)
        third = addresses(server)
        assert {tensor.info.name: bytes(tensor.data) for tensor in reading.tensors} == first
    assert kept(server) == bytes_of(model)
    assert [old == new for old, new in zip(second, third, strict=True)] == [True, False, True]


def test_each_block_has_its_own_changes(server: WeightServer, model: dict[str, torch.Tensor]) -> None:
    snapshot = Snapshot(server)
    publish(model, snapshot)
    change(model, 0, 7, 2 * ONE_BLOCK)
    publish(model, snapshot)
    (delta,) = server._published.deltas
    assert [[part and part.num_changes for part in parts] for parts in delta.tensors] == [[2, None, 1], [None], [None]]


def test_checksums_are_those_of_the_new_bytes(server: WeightServer, model: dict[str, torch.Tensor]) -> None:
    snapshot = Snapshot(server)
    publish(model, snapshot)
    everything = slice(0, BLOCK_BYTES)
    with server.offering() as offering:
        before = [tensor.checksum(everything) for tensor in offering.tensors]
    change(model, 0)
    publish(model, snapshot)
    with server.offering() as offering:
        after = [tensor.checksum(everything) for tensor in offering.tensors]
    assert [old == new for old, new in zip(before, after, strict=True)] == [False, True, True]


@pytest.mark.parametrize("another", [{"large": torch.ones(3)}, {"other": torch.ones(3)}, {}])
def test_another_model_begins_anew(
    server: WeightServer, model: dict[str, torch.Tensor], another: dict[str, torch.Tensor]
) -> None:
    snapshot = Snapshot(server)
    publish(model, snapshot)
    publish(another, snapshot)
    assert server._published.deltas == ()
    assert kept(server) == bytes_of(another)
    publish(model, snapshot)
    assert server._published.deltas == ()
    assert kept(server) == bytes_of(model)


def test_a_new_version_takes_a_few_blocks_of_memory(server: WeightServer) -> None:
    """Whatever the size of the model; numpy tells tracemalloc of its arrays."""
    model = {f"layer {number}": torch.zeros(8 * ONE_BLOCK, dtype=torch.bfloat16) for number in range(4)}
    snapshot = Snapshot(server)
    publish(model, snapshot)
    for tensor in model.values():
        tensor[::100] = 1
    tracemalloc.start()
    try:
        publish(model, snapshot)
        kept_bytes, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 0.015 < kept_bytes / (32 * BLOCK_BYTES) < 0.016  # three bytes for a change
    assert peak - kept_bytes < 3 * BLOCK_BYTES * MOST_THREADS
