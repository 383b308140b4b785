"""A rank of a scripted learner (see there) of an adapter, which says at the end what it has come to.

    python -m trainer.ranks 2 lora_learner.py CONFIG zero3 OUT

Writes OUT/seen.pt: the base's parameters after training, what would be sent to generators, the model's logits.
"""

import sys
from pathlib import Path
from typing import Any, Final

import torch

from grpo_trainer.fleet.merged_weights import base_name, merged_parameters
from trainer import scripted_learner
from trainer.scripted_learner import ExaminedLearner

TOKENS: Final = [[5, 17, 3, 90, 41, 8, 60]]


class LoraLearner(ExaminedLearner):
    def train(self, *args: Any, **kwargs: Any) -> Any:
        result = super().train(*args, **kwargs)
        gather = self._dist.gather_params
        base = {}
        for name, parameter in self.model.named_parameters():
            with gather([parameter]):
                if not parameter.requires_grad:
                    base[base_name(name)] = parameter.data.clone()
        sent = {name: tensor.clone() for name, tensor in merged_parameters(self.model, gather)}
        with torch.no_grad():
            logits = self.model.eval()(torch.tensor(TOKENS)).logits.clone()
        if self.is_world_process_zero():
            torch.save({"base": base, "sent": sent, "logits": logits}, Path(sys.argv[3]) / "seen.pt")
        return result


if __name__ == "__main__":
    scripted_learner.ExaminedLearner = LoraLearner  # type: ignore[misc]
    scripted_learner.main()
