"""Completions, and how vLLM and the generator's middleware tell of them.

P prompts, G generations per prompt.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from grpo_trainer.fleet.errors import GeneratorLost
from grpo_trainer.fleet.weights import count_of

FINISHED: Final = {"stop", "length"}

Stretch = tuple[int, int]
"""Place of its first token, and the version of the weights that it was sampled from. Versions are counted."""

Swaps = Mapping[str, Mapping[str, list[tuple[int, str]]]]
"""grpo_contract.network.SWAPS_HEADER."""


@dataclass(frozen=True)
class Completion:
    token_ids: list[int]
    logprobs: list[float | None]
    """Of each token when it was sampled, in nats, at the sampling temperature."""
    versions: tuple[Stretch, ...] = field(default=((0, 0),), compare=False)
    """More than one where the weights were swapped while it was written. Staleness is counted by the first."""

    @property
    def oldest(self) -> int:
        """Version that its first token was sampled from."""
        return self.versions[0][1]


def completions_of(
    answer: Any, swaps: Swaps, version: str, num_prompts: int, num_generations: int
) -> list[list[Completion]]:
    """P x G. vLLM orders the choices by prompt, the generations of one prompt next to each other; their first tokens are of
    that version, unless the swaps say otherwise."""
    choices = sorted(answer["choices"], key=lambda choice: choice["index"])
    if [choice["index"] for choice in choices] != list(range(num_prompts * num_generations)):
        raise GeneratorLost(f"{len(choices)} completions for {num_prompts} prompts x {num_generations} generations")
    completions = []
    for choice in choices:
        prompt, generation = divmod(choice["index"], num_generations)
        swapped = swaps.get(str(prompt), {}).get(str(generation), [])
        completions.append(_completion(choice, stretches(version, swapped)))
    return [completions[start : start + num_generations] for start in range(0, len(completions), num_generations)]


def versions_of(swaps: Swaps) -> set[str]:
    """All that are in them."""
    return {version for of_prompt in swaps.values() for swapped in of_prompt.values() for _, version in swapped}


def stretches(version: str, swapped: list[tuple[int, str]]) -> tuple[Stretch, ...]:
    """Of a completion that was asked for under that version. Of several that began at one place the last one wrote."""
    by_place = {0: version, **dict(swapped)}
    return tuple((place, count_of(by_place[place])) for place in sorted(by_place))


def _completion(choice: dict[str, Any], versions: tuple[Stretch, ...]) -> Completion:
    token_ids, logprobs, reason = choice["token_ids"], choice["logprobs"]["token_logprobs"], choice["finish_reason"]
    if reason not in FINISHED or len(token_ids) != len(logprobs):
        raise GeneratorLost(f"a completion of {len(token_ids)} tokens, {len(logprobs)} with logprobs, ended: {reason}")
    numbers = [None if logprob is None or math.isnan(logprob) else logprob for logprob in logprobs]
    return Completion(token_ids, numbers, versions)
