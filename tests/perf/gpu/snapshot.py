"""Two versions of the weights side by side, on the device and in host memory: what differs, and what each copy costs."""

import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Final

import torch

from perf.gpu.steps import finish_work
from perf.result import Figures

ELEMENT_BYTES: Final = 2
GAP_BYTES: Final = (1, 2)
"""Of the gap since the change before it; the largest number that fits stands for so many weights that stay, with no change after
them. Each tensor takes the width with which it is smaller."""

Weights = dict[str, torch.Tensor]
Changes = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Positions, and what travels: gaps, here in 16 bits, and new values."""


class Snapshots:
    """Of bfloat16."""

    def __init__(self) -> None:
        self._new: Weights = {}
        self._old: Weights = {}
        self._host: Weights = {}
        self._host_old: Weights = {}
        self._gather_s = 0.0
        self.pin_s = 0.0
        """To take host memory for all of them, once, that the device reads and writes by itself."""

    @property
    def is_first(self) -> bool:
        return not self._old

    def take(self, parameters: Iterator[tuple[str, torch.Tensor]]) -> None:
        """The newest weights; those that were the newest before are the old ones now."""
        self._old, self._new = self._new, self._old
        self._gather_s, _ = timed(lambda: self._gather(parameters))

    def _gather(self, parameters: Iterator[tuple[str, torch.Tensor]]) -> None:
        for name, parameter in parameters:
            if name not in self._new:
                self._new[name] = torch.empty_like(parameter)
            self._new[name].copy_(parameter)

    def changes(self) -> Figures:
        parameters = sum(weight.numel() for weight in self._new.values())
        changed = size = 0
        for positions, _, _ in all_changes(self._new, self._old):
            changed += len(positions)
            size += delta_bytes(positions)
        return {
            "changed_share": round(changed / parameters, 6),
            "delta_bytes": size,
            "dense_bytes": parameters * ELEMENT_BYTES,
        }

    def costs(self) -> Figures:
        """Seconds of each way to get the weights, or what has changed of them, into host memory; each over all tensors."""
        if not self._host:
            self.pin_s, self._host = timed(lambda: pinned_like(self._new))
            self._host_old = pinned_like(self._old)
        pinned_copy_s = seconds(lambda: copy(self._new, self._host))
        copy(self._old, self._host_old)
        return {
            "gather_s": round(self._gather_s, 4),
            "pageable_copy_s": seconds(lambda: [weight.to("cpu", copy=True) for weight in self._new.values()]),
            "pinned_copy_s": pinned_copy_s,
            "changes_on_device_s": seconds(self._changes_from_device),
            "changes_on_host_s": seconds(lambda: list(all_changes(self._host, self._host_old))),
            "checksum_s": seconds(lambda: [zlib.crc32(bytes_of(weight)) for weight in self._host.values()]),
            "is_identical": self._is_identical(),
        }

    def _changes_from_device(self) -> None:
        """Found there, and only they are copied."""
        for _, gaps, values in all_changes(self._new, self._old):
            gaps.cpu(), values.cpu()

    def _is_identical(self) -> bool:
        """Whether the old weights with the changes are the new ones, bit by bit."""
        for name, new in self._new.items():
            positions, _, values = changes(new, self._old[name])
            changed = bits(self._old[name]).clone()
            changed[positions] = values
            if not torch.equal(changed, bits(new)):
                return False
        return True


def changes(new: torch.Tensor, old: torch.Tensor) -> Changes:
    positions = (bits(new) != bits(old)).nonzero().squeeze(1)
    return positions, gaps_of(positions).to(torch.int16), bits(new)[positions]


def all_changes(new: Weights, old: Weights) -> Iterator[Changes]:
    return (changes(new[name], old[name]) for name in new)


def gaps_of(positions: torch.Tensor) -> torch.Tensor:
    return positions.diff(prepend=positions.new_tensor([-1])) - 1


def delta_bytes(positions: torch.Tensor) -> int:
    gaps = gaps_of(positions)
    return len(positions) * ELEMENT_BYTES + min(
        width * (len(positions) + int((gaps // (2 ** (8 * width) - 1)).sum())) for width in GAP_BYTES
    )


def bits(weight: torch.Tensor) -> torch.Tensor:
    return weight.view(-1).view(torch.int16)


def bytes_of(weight: torch.Tensor) -> memoryview:
    return memoryview(bits(weight).numpy())


def pinned_like(weights: Weights) -> Weights:
    return {name: torch.empty_like(weight, device="cpu", pin_memory=weight.is_cuda) for name, weight in weights.items()}


def copy(source: Weights, target: Weights) -> None:
    for name, weight in source.items():
        target[name].copy_(weight, non_blocking=True)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    finish_work()
    started = time.perf_counter()
    result = work()
    finish_work()
    return time.perf_counter() - started, result


def seconds(work: Callable[[], Any]) -> float:
    elapsed, _ = timed(work)
    return round(elapsed, 4)
