"""How reliably reward functions score: what failed, counted over all ranks, and when that is too much to go on."""

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from grpo_contract.failure import QUOTED_CHARACTERS, PodReason, UserError
from grpo_contract.metrics import RewardError
from grpo_contract.progress import RewardHealth
from grpo_contract.rewards import ERROR_WINDOW_STEPS
from grpo_trainer.rewards.processes.messages import Mishap


@dataclass
class RewardErrors:
    """Of one batch, on one rank."""

    counts: Counter[tuple[str, RewardError]] = field(default_factory=Counter)
    """Completions without a score, by function and reason."""
    examples: dict[tuple[str, RewardError], str] = field(default_factory=dict)
    """Why, of one of them."""


class RewardWatch:
    """All ranks see the same, and so stop at the same step."""

    def __init__(self, max_error_share: float) -> None:
        self.max_error_share = max_error_share
        self.last_error: str | None = None
        self._batch = RewardErrors()
        self._counts: Counter[tuple[str, RewardError]] = Counter()
        self._shares: deque[float] = deque(maxlen=ERROR_WINDOW_STEPS)

    def count(self, function: str, mishaps: Iterable[Mishap]) -> None:
        """Of this rank's part of the batch that is being scored."""
        for mishap in mishaps:
            key = function, mishap.reason
            self._batch.counts[key] += 1
            self._batch.examples.setdefault(key, mishap.why[:QUOTED_CHARACTERS])

    def take_batch(self) -> RewardErrors:
        taken, self._batch = self._batch, RewardErrors()
        return taken

    def take_counts(self) -> Counter[tuple[str, RewardError]]:
        """Of all ranks, since the last call."""
        taken, self._counts = self._counts, Counter()
        return taken

    def see(self, of_ranks: Sequence[RewardErrors], lost_share: float, *, is_training: bool) -> RewardErrors:
        """A batch that is scored, of whose completions `lost_share` have no reward because a function failed.

        Returns:
            The errors of all ranks.
        """
        errors = RewardErrors()
        for rank in of_ranks:
            errors.counts += rank.counts
            errors.examples = rank.examples | errors.examples
        self._counts += errors.counts
        failures = [key for key in errors.examples if key[1] is not RewardError.UNPARSABLE_SOLUTION]
        if failures:
            function, reason = failures[-1]
            self.last_error = f"{function}: {reason}: {errors.examples[failures[-1]]}"
        if is_training:
            self._shares.append(lost_share)
        return errors

    def state(self) -> dict[str, Any]:
        """For a checkpoint: an attempt that goes on from it judges the same steps."""
        return {"shares": list(self._shares), "last_error": self.last_error}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._shares = deque(state["shares"], maxlen=ERROR_WINDOW_STEPS)
        self.last_error = state["last_error"]

    @property
    def health(self) -> RewardHealth:
        return RewardHealth(error_share=self.error_share, last_error=self.last_error)

    @property
    def error_share(self) -> float:
        """Over ERROR_WINDOW_STEPS steps, of which those that are not made yet count as good: one bad step ends no run."""
        return sum(self._shares) / ERROR_WINDOW_STEPS

    def check(self) -> None:
        """
        Raises:
            UserError: too much fails. It is treated as the user's, since another attempt would mostly fail alike.
        """
        if self.error_share <= self.max_error_share:
            return
        num_steps = len(self._shares)
        raise UserError(
            PodReason.REWARDS_FAILING,
            f"spec.rewards.maxErrorShare: {100 * sum(self._shares) / num_steps:.3g} % of the completions of the last "
            f"{num_steps} steps have no reward because a reward function failed, which is more than "
            f"{self.max_error_share:g} of {ERROR_WINDOW_STEPS} steps; mend the function, or start another run with a higher "
            f"maxErrorShare or timeoutSeconds; the last error: {self.last_error}.",
        )
