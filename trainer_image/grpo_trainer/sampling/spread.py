"""Which groups of completions teach something: those whose rewards differ, as TRL judges it.

S completions of all ranks, F reward functions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from grpo_trainer.light_trl import nanstd


@dataclass(frozen=True)
class Judgement:
    """Groups by their number in the batch. One with less than two rewards, since functions failed, is of neither kind: another
    prompt is no remedy for that."""

    equal: Sequence[int]
    """All rewards are, so that all advantages are 0."""
    spread: Sequence[int]


def judge(scores: torch.Tensor, weights: torch.Tensor, num_generations: int, aggregation: str) -> Judgement:
    """`scores`: S x F; `aggregation` is TRL's multi_objective_aggregation. Deviations over the whole batch, which TRL may divide
    by, say nothing of a group."""
    scores = without_failed(scores)
    has_none = torch.isnan(scores).all(dim=1)
    if aggregation == "normalize_then_sum":
        grouped = scores.view(-1, num_generations, scores.shape[1])
        mean, deviation = torch.nanmean(grouped, dim=1, keepdim=True), nanstd(grouped, dim=1, keepdim=True)
        normalised = ((grouped - mean) / (deviation + 1e-4)).masked_fill(_is_zero(deviation), 0)
        scores = normalised.view(scores.shape)
    rewards = (scores * weights).nansum(dim=1).masked_fill(has_none, torch.nan)
    deviations = nanstd(rewards.view(-1, num_generations), dim=1)
    are_equal = _is_zero(deviations)
    return Judgement(
        equal=are_equal.nonzero().flatten().tolist(),
        spread=(~are_equal & ~torch.isnan(deviations)).nonzero().flatten().tolist(),
    )


def _is_zero(deviations: torch.Tensor) -> torch.Tensor:
    """As TRL asks, since equal numbers may have a mean that is none of them."""
    return torch.isclose(deviations, torch.zeros_like(deviations))


def without_failed(scores: torch.Tensor) -> torch.Tensor:
    """`scores`: S x F. A completion with a FAILED among its scores loses all of them.

    TRL sums what is there, so that the scores left over would be the reward of a wrong answer. A row of NaN it takes
    for unscorable: no part of its group's mean and deviation, advantage 0. What does not depend on rewards (the KL
    penalty, the entropy bonus, the count of tokens) takes the completion as any other.
    """
    failed = torch.isinf(scores).any(dim=1, keepdim=True)
    return scores.masked_fill(failed, torch.nan)
