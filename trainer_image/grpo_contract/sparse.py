"""The changes between two states of a block of weights, bit by bit: where elements differ, and what they are now.

A part of kind SPARSE_8 or SPARSE_16 is a list of gaps, unsigned numbers of 8 or 16 bits, and after it the new elements. A gap
is the number of elements that stay as they are before the next one that changes; the largest number that fits stands for
so many that stay, with no change after them. Elements are compared and sent as bit patterns: of two NaNs or zeros, each stays
what it is.
"""

from typing import Any, Final

import numpy

from grpo_contract.weights import Changes, PartKind

GAP_DTYPES: Final = {PartKind.SPARSE_8: numpy.dtype("u1"), PartKind.SPARSE_16: numpy.dtype("<u2")}


class BadChanges(ValueError):
    """They cannot be those of the block. A sentence."""


def find_changes(old: memoryview, new: memoryview, element_bytes: int) -> Changes | None:
    """What makes `new` of `old`, None when nothing. The smallest of three: for kind DENSE there are no data, it is `new` itself."""
    before, after = _elements(old, element_bytes), _elements(new, element_bytes)
    positions = numpy.flatnonzero(before != after)
    if not len(positions):
        return None
    if len(positions) * (1 + element_bytes) >= len(new):  # the least that they would take
        return Changes(PartKind.DENSE, 0, b"")
    gaps = numpy.diff(positions, prepend=-1) - 1
    kind = min(GAP_DTYPES, key=lambda kind: _size(gaps, GAP_DTYPES[kind]))
    data: bytes = _encode(gaps, GAP_DTYPES[kind]).tobytes() + after[positions].tobytes()
    return Changes(kind, len(positions), data) if len(data) < len(new) else Changes(PartKind.DENSE, 0, b"")


def apply_changes(block: memoryview, changes: Changes, element_bytes: int) -> None:
    """
    Raises:
        BadChanges: nothing was changed.
    """
    gap_bytes = len(changes.data) - changes.num_changes * element_bytes
    gap_dtype = GAP_DTYPES[changes.kind]
    if gap_bytes < 0 or gap_bytes % gap_dtype.itemsize:
        raise BadChanges(f"{changes.num_changes} changes do not take {len(changes.data)} bytes")
    elements = _elements(block, element_bytes)
    positions = _decode(numpy.frombuffer(changes.data, gap_dtype, gap_bytes // gap_dtype.itemsize))
    if len(positions) != changes.num_changes or (len(positions) and positions[-1] >= len(elements)):
        raise BadChanges(f"{len(positions)} changes of {changes.num_changes} for a block of {len(elements)} elements")
    elements[positions] = numpy.frombuffer(changes.data, elements.dtype, offset=gap_bytes)


def _elements(data: memoryview, element_bytes: int) -> Any:
    return numpy.frombuffer(data, f"<u{element_bytes}")


def _size(gaps: Any, gap_dtype: Any) -> int:
    _, extra = _long_gaps(gaps, gap_dtype)
    return int(len(gaps) + extra.sum()) * int(gap_dtype.itemsize)


def _encode(gaps: Any, gap_dtype: Any) -> Any:
    most = numpy.iinfo(gap_dtype).max
    long, extra = _long_gaps(gaps, gap_dtype)
    if not len(long):
        return gaps.astype(gap_dtype)
    step = numpy.ones(len(gaps), numpy.int64)
    step[long] += extra
    last_of_each = numpy.cumsum(step) - 1
    encoded = numpy.full(last_of_each[-1] + 1, most, gap_dtype)
    encoded[last_of_each] = gaps % most
    return encoded


def _long_gaps(gaps: Any, gap_dtype: Any) -> tuple[Any, Any]:
    """Which do not fit into one number, and how many more each of them takes. They are few, and division is slow."""
    most = numpy.iinfo(gap_dtype).max
    long = numpy.flatnonzero(gaps >= most)
    return long, gaps[long] // most


def _decode(encoded: Any) -> Any:
    """Positions of the changes."""
    has_change = encoded != numpy.iinfo(encoded.dtype).max
    after_each = numpy.cumsum(encoded.astype(numpy.int64) + has_change)
    return after_each[has_change] - 1
