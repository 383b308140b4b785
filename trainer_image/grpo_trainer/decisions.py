"""What all ranks decide alike."""

from collections.abc import Callable
from typing import TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, gather

T = TypeVar("T")


def decided_by_rank_0(decide: Callable[[], T]) -> T:
    """A collective. `decide` runs on rank 0 alone: nodes that share a network drive may see an old state of it for a while."""
    decision = [decide() if PartialState().is_main_process else None]
    broadcast_object_list(decision, from_process=0)
    decided: T = decision[0]  # type: ignore[assignment]
    return decided


def is_so_on_any_rank(is_so: bool) -> bool:
    """A collective."""
    answers: torch.Tensor = gather(torch.tensor([is_so], dtype=torch.uint8, device=PartialState().device))
    return bool(answers.any())
