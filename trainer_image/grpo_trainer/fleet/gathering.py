"""A walk over a model's parameters, whole, in buckets: under ZeRO-3 each rank holds a part of every parameter.

At no time is more gathered on a rank than one bucket: BUCKET_BYTES, or one parameter that is larger. One after the other
would gather less at a time and in a collective each.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Final

import torch

BUCKET_BYTES: Final = 512 << 20

Gather = Callable[[Sequence[torch.nn.Parameter]], AbstractContextManager[None]]
Named = tuple[str, torch.nn.Parameter]


def gathered(parameters: Iterable[Named], gather: Gather) -> Iterator[tuple[str, torch.Tensor]]:
    """A collective: every rank goes through all of them. A tensor is valid until the next one is asked for."""
    for bucket in buckets(parameters):
        with gather([parameter for _, parameter in bucket]):
            yield from ((name, parameter.data) for name, parameter in bucket)


def buckets(parameters: Iterable[Named]) -> Iterator[list[Named]]:
    bucket: list[Named] = []
    filled = 0
    for name, parameter in parameters:
        size = whole_bytes(parameter)
        if bucket and filled + size > BUCKET_BYTES:
            yield bucket
            bucket, filled = [], 0
        bucket.append((name, parameter))
        filled += size
    if bucket:
        yield bucket


def whole_bytes(parameter: torch.nn.Parameter) -> int:
    """Of all ranks' parts together."""
    whole: int = getattr(parameter, "ds_numel", parameter.numel())
    of_element: int = parameter.element_size()
    return whole * of_element
