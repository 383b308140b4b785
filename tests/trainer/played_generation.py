"""FleetGeneration's face towards the learner, for tests that write completions themselves: `generate` is theirs.

Nothing of the product is imported, for stock TRL is given such a one as well.
"""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

Batch = str


class PlayedGeneration:
    max_staleness = 0
    num_versions = 1

    def __init__(self) -> None:
        self.inbox = SimpleNamespace(told=None)
        self.wanted: Batch = ""
        self.sampled_from: list[int] = []

    def sync_weights(self) -> None:
        pass

    def ask(self, batch: Batch, prompts: Sequence[list[int]], num_generations: int) -> None:
        self.sampled_from = [self.num_versions] * len(prompts)

    def forget(self) -> None:
        pass


def in_trl_form(
    prompts: list[list[int]], completions: list[list[int]], logprobs: Sequence[Sequence[float | None]] | None = None
) -> Any:
    """What TRL takes from `generate`; by default every token was sampled with log-probability -1."""
    if logprobs is None:
        logprobs = [[-1.0] * len(completion) for completion in completions]
    return (
        prompts,
        completions,
        [[[logprob] for logprob in of_tokens] for of_tokens in logprobs],
        [[[token] for token in completion] for completion in completions],
    )
