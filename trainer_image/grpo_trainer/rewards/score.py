"""What a reward function says of a completion: a number, None, or FAILED."""

from typing import Final, TypeAlias

from grpo_contract.metrics import RewardError


class Failed(float):
    """The function should have scored the completion and could not: out of time, a crash, a service that is down.

    It is a float, infinity, so that it goes through TRL's tensor of rewards, and from rank to rank, like any score.
    """

    reason: RewardError
    why: str

    def __new__(cls, reason: RewardError = RewardError.FAILED, why: str = "it said FAILED") -> "Failed":
        failed = super().__new__(cls, "inf")
        failed.reason, failed.why = reason, why
        return failed


FAILED: Final = Failed()

Score: TypeAlias = float | Failed | None
"""None: there is nothing for this function to score here. The other functions' scores count; after FAILED none does."""
