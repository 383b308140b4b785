"""How much of a learner's forward passes is for nothing: each is as wide as the longest prompt and the longest completion of a
generation together.

B completions, P and C tokens of the longest prompt and completion.
"""

from collections.abc import Callable, Mapping

import torch


class Padding:
    """Of all ranks' generations since it was last taken."""

    def __init__(self) -> None:
        self._num_tokens = 0
        self._num_padding = 0

    def see(self, batch: Mapping[str, torch.Tensor], sum_of_ranks: Callable[[torch.Tensor], torch.Tensor]) -> None:
        """TRL's: `prompt_mask` (B x P) and `completion_mask` (B x C) are 1 where a token counts, and with mask_truncated_completions
        0 for the whole of a completion that was cut off."""
        mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1)
        num_tokens, num_padding = sum_of_ranks(torch.stack([torch.ones_like(mask).sum(), (mask == 0).sum()])).tolist()
        self._num_tokens += num_tokens
        self._num_padding += num_padding

    def take_ratio(self) -> float | None:
        """None after a step that learns again from what was generated before."""
        ratio = self._num_padding / self._num_tokens if self._num_tokens else None
        self._num_tokens = self._num_padding = 0
        return ratio
