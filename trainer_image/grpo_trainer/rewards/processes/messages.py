"""What training and a reward process say to each other, pickled, over a socket."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from grpo_contract.config import Deadlines
from grpo_contract.failure import Failure
from grpo_contract.metrics import RewardError
from grpo_trainer.rewards.arguments import RewardArguments
from grpo_trainer.rewards.score import Failed, Score


@dataclass(frozen=True)
class Load:
    """The first message to a process: the functions that it will be asked to call."""

    names: tuple[str, ...]
    arguments: RewardArguments
    timeout_s: float
    """Of one call."""
    loading_s: float = Deadlines().rewards_loading_s
    """For the modules of the functions."""


@dataclass(frozen=True)
class Signature:
    """Of a function, what the other side needs to know of its parameters."""

    required_columns: tuple[str, ...]
    parameters: frozenset[str]


@dataclass(frozen=True)
class Loaded:
    signatures: Mapping[str, Signature]


@dataclass(frozen=True)
class NotLoaded:
    failure: Failure
    is_users_mistake: bool


@dataclass(frozen=True)
class Training:
    """TRL's TrainerState."""

    fields: Mapping[str, Any]
    """Without its `log_history`, which grows with every step."""
    log_history: Sequence[Any]
    """What the process does not know of it yet."""


@dataclass(frozen=True)
class Call:
    """Calls of one function, one after the other; each is answered with an Outcome."""

    function: str
    sizes: Sequence[int]
    """Completions of each call, as they follow each other in `columns`."""
    columns: Mapping[str, Sequence[Any]]
    """Keyword arguments: `completions`, and whatever else has an entry per completion."""
    training: Training | None
    """For functions that get what only training has; None for the built-in ones."""


@dataclass(frozen=True)
class Mishap:
    """Why a completion has no score."""

    reason: RewardError
    why: str

    @property
    def score(self) -> Score:
        """FAILED, or None where there was nothing to score."""
        return None if self.reason is RewardError.UNPARSABLE_SOLUTION else Failed(self.reason, self.why)


@dataclass
class Outcome:
    """Of one call."""

    scores: list[float | None]
    mishaps: dict[int, Mishap] = field(default_factory=dict)
    """By the place of the completion; its entry in `scores` is None."""
    extras: dict[str, list[Any]] = field(default_factory=dict)
    """What the function told TRL's `log_extra`, to be said again in training: columns with an entry per completion."""
    metrics: list[tuple[str, float]] = field(default_factory=list)
    """What it told `log_metric`."""

    @classmethod
    def without_scores(cls, count: int, mishap: Mishap) -> "Outcome":
        return cls([None] * count, dict.fromkeys(range(count), mishap))
