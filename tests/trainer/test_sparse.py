"""Changes of a block make of the old bytes exactly the new ones, in as few bytes as they can."""

import numpy
import pytest
import torch

from grpo_contract.sparse import BadChanges, apply_changes, find_changes
from grpo_contract.weights import Changes, PartKind

N = 100_000


def block(length: int = N, element_bytes: int = 2) -> memoryview:
    return memoryview(numpy.random.default_rng(0).integers(0, 256, length * element_bytes, numpy.uint8))


def changed(old: memoryview, positions: list[int], element_bytes: int = 2) -> memoryview:
    new = memoryview(bytearray(old))
    for position in positions:
        new[position * element_bytes] ^= 1
    return new


def found(old: memoryview, new: memoryview, element_bytes: int = 2) -> Changes:
    changes = find_changes(old, new, element_bytes)
    assert changes is not None
    return changes


@pytest.mark.parametrize("element_bytes", [1, 2, 4, 8])
@pytest.mark.parametrize(
    "positions",
    [
        [0],
        [N - 1],
        [0, N - 1],
        [254],
        [255],
        [256],
        [0, 255, 511, 766],
        [65534],
        [65535],
        [65536],
        list(range(0, N, 97)),
    ],
)
def test_changes_bring_the_old_bytes_to_the_new_ones(positions: list[int], element_bytes: int) -> None:
    old = block(element_bytes=element_bytes)
    new = changed(old, positions, element_bytes)
    changes = found(old, new, element_bytes)
    assert changes.num_changes == len(positions)
    assert changes.kind != PartKind.DENSE
    apply_changes(old, changes, element_bytes)
    assert old == new


@pytest.mark.parametrize(
    ("positions", "kind", "size"),
    [
        ([10], PartKind.SPARSE_8, 1 + 2),
        ([254], PartKind.SPARSE_8, 1 + 2),
        ([255], PartKind.SPARSE_8, 2 + 2),  # of gap 255: one that stands for 255 that stay, and a gap of 0
        ([510], PartKind.SPARSE_16, 2 + 2),
        ([65535], PartKind.SPARSE_16, 4 + 2),
        ([1, 99_999], PartKind.SPARSE_16, 6 + 4),
        (range(0, N, 100), PartKind.SPARSE_8, 3 * N // 100),
    ],
)
def test_the_smaller_gaps_are_chosen(positions: list[int], kind: PartKind, size: int) -> None:
    old = block()
    changes = found(old, changed(old, positions))
    assert (changes.kind, len(changes.data)) == (kind, size)


def test_the_bytes_are_those_of_the_format() -> None:
    changes = found(memoryview(b"0123456789"), memoryview(b"0a23456zz9"), 1)
    assert changes == Changes(PartKind.SPARSE_8, 3, b"\x01\x05\x00azz")
    wide = bytearray(2 * 70_000)
    wide[2 * 300 : 2 * 300 + 2] = b"\x01\x02"
    wide[-2:] = b"\x03\x04"
    expected = (
        (300).to_bytes(2, "little") + b"\xff\xff" + (70_000 - 302 - 65_535).to_bytes(2, "little") + b"\x01\x02\x03\x04"
    )
    assert found(memoryview(bytes(len(wide))), memoryview(wide)) == Changes(PartKind.SPARSE_16, 2, expected)


def test_equal_bytes_are_no_change() -> None:
    assert find_changes(block(), block(), 2) is None


@pytest.mark.parametrize(("share", "is_dense"), [(0.5, False), (0.66, False), (0.67, True), (1.0, True)])
def test_a_block_that_changed_much_goes_whole(share: float, is_dense: bool) -> None:
    """Of three bytes for a change and two for an element, two thirds are the limit."""
    old = block()
    changes = found(old, changed(old, list(range(int(N * share)))))
    assert (changes.kind == PartKind.DENSE) == is_dense
    assert len(changes.data) < len(old)


def test_bit_patterns_are_compared_not_values() -> None:
    old = torch.tensor([0.0, torch.nan, 1.0], dtype=torch.bfloat16)
    new = torch.tensor([-0.0, torch.nan, 1.0], dtype=torch.bfloat16)
    before, after = (memoryview(tensor.view(torch.uint8).numpy()) for tensor in (old, new))
    assert found(before, after) == Changes(PartKind.SPARSE_8, 1, b"\x00\x00\x80")


@pytest.mark.parametrize(
    "changes",
    [
        Changes(PartKind.SPARSE_8, 1, b"\x09a"),
        Changes(PartKind.SPARSE_8, 2, b"\x01a"),
        Changes(PartKind.SPARSE_8, 2, b"\x01\xffab"),
        Changes(PartKind.SPARSE_8, 1, b"\xff\x00a"),
        Changes(PartKind.SPARSE_16, 1, b"\x01\x00\x00a"),
    ],
)
def test_changes_of_another_block_are_refused(changes: Changes) -> None:
    content = bytearray(b"123456789")
    with pytest.raises(BadChanges):
        apply_changes(memoryview(content), changes, 1)
    assert content == b"123456789"
