"""One fault that has struck: whom, and where the run was at that moment."""

import time
from dataclasses import dataclass
from typing import Any

from chaos.arena import STEP, Arena
from harness.kubectl import Manifest


@dataclass(frozen=True)
class Blow:
    at_s: float
    """Seconds since the epoch."""
    last_step: int
    """That learner 0 had told of; 0 when its log has none."""
    into_step: float | None
    """How much of the time of a step had passed since; None when its log has none."""
    victims: tuple[Manifest, ...] = ()
    damaged_step: int | None = None
    """Of the checkpoint that is not to be resumed from, of which the run has to tell."""


def about_to_hurt(arena: Arena, *victims: Manifest, **details: Any) -> Blow:
    """To be asked last before it is done. It comes back at a random moment of a step."""
    time.sleep(arena.moments.uniform(0, arena.state().seconds_per_step))
    told = [(line.time, found) for line in arena.log() if (found := STEP.search(line.text))]
    now_s = time.time()
    if not told:
        return Blow(now_s, 0, None, victims, **details)
    told_s, last = told[-1]
    return Blow(now_s, int(last[1]), (now_s - told_s) / float(last[2]), victims, **details)
