"""FleetGeneration's face towards the learner, for tests that write completions themselves: `generate` is theirs."""

from collections.abc import Sequence

from grpo_trainer.fleet.inbox import Batch, Inbox


class PlayedGeneration:
    max_staleness = 0
    num_versions = 1

    def __init__(self) -> None:
        self.inbox = Inbox()
        self.wanted: Batch = ""
        self.sampled_from: list[int] = []

    def sync_weights(self) -> None:
        pass

    def ask(self, batch: Batch, prompts: Sequence[list[int]], num_generations: int) -> None:
        self.sampled_from = [self.num_versions] * len(prompts)

    def forget(self) -> None:
        pass
