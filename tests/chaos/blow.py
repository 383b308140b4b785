"""One fault that has struck: whom, and where the run was at that moment."""

import time
from dataclasses import dataclass
from typing import Any

from chaos.arena import Arena, steps_made
from harness.kubectl import Manifest


@dataclass(frozen=True)
class Blow:
    at_s: float
    """Seconds since the epoch."""
    last_step: int
    """That learner 0 had told of; 0 when its log has none."""
    victims: tuple[Manifest, ...] = ()
    damaged_step: int | None = None
    """Of the checkpoint that is not to be resumed from."""
    is_told: bool = False
    """The run has to say that it was damaged."""


def about_to_hurt(arena: Arena, *victims: Manifest, **details: Any) -> Blow:
    """To be asked last before it is done."""
    last_step = max(steps_made(arena.log()), default=0)
    return Blow(time.time(), last_step, victims, **details)
