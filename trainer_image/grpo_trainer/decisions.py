"""What rank 0 decides for all: nodes that share a network drive may see an old state of it for a while."""

from collections.abc import Callable
from typing import TypeVar

from accelerate import PartialState
from accelerate.utils import broadcast_object_list

T = TypeVar("T")


def decided_by_rank_0(decide: Callable[[], T]) -> T:
    """A collective. `decide` runs on rank 0 alone."""
    decision = [decide() if PartialState().is_main_process else None]
    broadcast_object_list(decision, from_process=0)
    decided: T = decision[0]  # type: ignore[assignment]
    return decided
