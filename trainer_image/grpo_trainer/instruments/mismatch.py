"""How far generators' log-probabilities are from the learner's, where TRL does not measure it: it does as a part of its
importance-sampling correction, which recipes may turn off. It shows whether generators hold the learner's weights.

B completions of a pass, T tokens.
"""

from collections.abc import Callable, Mapping
from typing import Final

import torch

from grpo_contract.metrics import TRL_KEYS_BY_LABEL

KEYS: Final = TRL_KEYS_BY_LABEL["grpo_sampling_logp_difference"]


class SamplerMismatch:
    """Over the passes of one optimizer step."""

    def __init__(self) -> None:
        self._passes: list[torch.Tensor] = []

    def see(self, own: torch.Tensor, sampled: torch.Tensor, mask: torch.Tensor) -> None:
        """Log-probabilities of the same tokens, B x T each, and which tokens count. Where the generator had no number,
        `sampled` is NaN, and the token does not count, as in TRL."""
        difference = (own.detach().float() - sampled).abs()
        counts = mask.bool() & ~difference.isnan()
        difference = difference.masked_fill(~counts, 0.0)
        self._passes.append(torch.stack([difference.sum(), counts.sum().float(), difference.max()]))

    def take(self, gather: Callable[[torch.Tensor], torch.Tensor]) -> Mapping[str, float]:
        """Under TRL's keys, mean and maximum of all ranks' tokens since the last call; nothing when none counted."""
        passes, self._passes = self._passes, []
        total, count, largest = gather(torch.stack(passes)).unbind(dim=1)
        num_tokens = count.sum().item()
        if not num_tokens:
            return {}
        return {KEYS["mean"]: total.sum().item() / num_tokens, KEYS["max"]: largest.max().item()}
