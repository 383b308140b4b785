"""scripted_learner.py, which also writes OUT/synced.safetensors: the weights that generators were given last.

python -m trainer.ranks 2 synced_learner.py CONFIG zero3 OUT
"""

import sys
from pathlib import Path
from typing import Any

import deepspeed
from accelerate import PartialState
from safetensors.torch import save_file

from trainer import scripted_learner


class SyncedGeneration(scripted_learner.ScriptedGeneration):
    def __init__(self, settings: Any, *, model: Any, **kwargs: Any) -> None:
        super().__init__(settings, **kwargs)
        self.model = model

    def sync_weights(self) -> None:
        parameters = dict(self.model.named_parameters())
        with deepspeed.zero.GatheredParameters(list(parameters.values())):
            if PartialState().is_main_process:
                weights = {name: parameter.detach().clone() for name, parameter in parameters.items()}
                save_file(weights, Path(sys.argv[3]) / "synced.safetensors")


if __name__ == "__main__":
    scripted_learner.replace(scripted_learner, ScriptedGeneration=SyncedGeneration)
    scripted_learner.main()
