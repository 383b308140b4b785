"""How many generators would suit a run, and whether its two sides should take turns: from what a step takes of either.

Numbers are rounded, so that a run that goes on as before is told of in the same words.
"""

import math
from dataclasses import dataclass
from typing import Final

from grpo_operator.api.spec import Generators

MUCH: Final = 0.1
"""Of a step, from which on waiting is worth a word."""


@dataclass(frozen=True)
class Recommendation:
    generators: int | None
    """None where more of them always help, and always less."""
    sentence: str | None
    """None where there is nothing to gain."""


def recommend(generators: Generators, generator_s: float, learning_s: float) -> Recommendation:
    """`generator_s`: of all generators together. How far they divide a step's completions, so far more of them are faster."""
    generation_s = generator_s / generators.replicas
    if generators.max_staleness > 0:
        return _side_by_side(generators.replicas, generation_s, learning_s)
    if min(generation_s, learning_s) >= MUCH * (generation_s + learning_s):
        return Recommendation(None, _hide_one(generators.replicas, generation_s, learning_s))
    return _in_turns(generators.replicas, generation_s, learning_s)


def _side_by_side(replicas: int, generation_s: float, learning_s: float) -> Recommendation:
    """A step takes as long as the longer of the two."""
    if learning_s < (1 - MUCH) * generation_s:
        enough = _fewest(replicas, generation_s, learning_s)
        return Recommendation(
            enough,
            f"Learners wait {_percent(1 - learning_s / generation_s)} of each step for completions: {enough} generators "
            f"instead of {replicas} would let them learn without waiting.",
        )
    return _fewer(replicas, generation_s, (1 - MUCH) * learning_s, 1 - generation_s / learning_s)


def _hide_one(replicas: int, generation_s: float, learning_s: float) -> str:
    sentence = (
        f"Generation takes {_seconds(generation_s)} of each step and learning {_seconds(learning_s)}: a run with "
        f"spec.generators.maxStaleness 1 would take {_seconds(max(generation_s, learning_s))} a step"
    )
    if learning_s < (1 - MUCH) * generation_s:
        enough = _fewest(replicas, generation_s, learning_s)
        sentence += f", and {_seconds(learning_s)} with {enough} generators instead of {replicas}"
    return f"{sentence}."


def _in_turns(replicas: int, generation_s: float, learning_s: float) -> Recommendation:
    """A step takes as long as both, and one of them next to nothing."""
    step_s = generation_s + learning_s
    if learning_s < generation_s:
        return Recommendation(
            2 * replicas,
            f"Learners wait {_percent(generation_s / step_s)} of each step for completions: with {2 * replicas} generators "
            f"instead of {replicas} it would take {_seconds(generation_s / 2 + learning_s)} instead of {_seconds(step_s)}.",
        )
    return _fewer(replicas, generation_s, generation_s + MUCH * step_s, learning_s / step_s)


def _fewer(replicas: int, generation_s: float, may_take_s: float, idle_share: float) -> Recommendation:
    enough = min(replicas, _fewest(replicas, generation_s, may_take_s))
    if enough == replicas:
        return Recommendation(replicas, None)
    return Recommendation(
        enough,
        f"Generators have nothing to write for {_percent(idle_share)} of each step: {enough} instead of {replicas} would do.",
    )


def _fewest(replicas: int, generation_s: float, may_take_s: float) -> int:
    """Generators with which generation takes no longer than that."""
    return max(1, math.ceil(round(replicas * generation_s / may_take_s, 6)))


def _percent(share: float) -> str:
    return f"{math.floor(round(share * 20, 6)) * 5} %"


def _seconds(seconds: float) -> str:
    return f"{float(f'{seconds:.2g}'):g} s"
