"""The reference policy in a checkpoint, where it moves with the training (`sync_ref_model`): TRL makes it anew from the recipe's
model with each attempt.
"""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from grpo_trainer.decisions import decided_by_rank_0
from grpo_trainer.storage.checkpoint_files import REFERENCE

Weights = dict[str, torch.Tensor]


def moves(learner: Any) -> bool:
    return learner.args.sync_ref_model and learner.ref_model is not None


def gather_reference(learner: Any) -> Weights:
    """In host memory; empty but on rank 0, or where it does not move. A collective."""
    weights = {}
    for name, parameter in learner.ref_model.named_parameters() if moves(learner) else ():
        with whole(parameter):
            if learner.is_world_process_zero():
                weights[name] = parameter.data.to("cpu", copy=True)
    return weights


def write_reference(weights: Weights, folder: Path) -> None:
    if weights:
        save_file(weights, folder / REFERENCE)


def load_reference(learner: Any, folder: Path) -> None:
    """A collective. Nothing, of a checkpoint that an older image wrote."""
    if not moves(learner) or not decided_by_rank_0((folder / REFERENCE).exists):
        return
    weights = load_file(folder / REFERENCE) if learner.is_world_process_zero() else {}
    for name, parameter in learner.ref_model.named_parameters():
        with whole(parameter, modifier_rank=0):
            if learner.is_world_process_zero():
                parameter.data.copy_(weights[name])


def whole(parameter: torch.nn.Parameter, modifier_rank: int | None = None) -> AbstractContextManager[None]:
    if not hasattr(parameter, "ds_id"):
        return nullcontext()
    import deepspeed

    gathered: AbstractContextManager[None] = deepspeed.zero.GatheredParameters([parameter], modifier_rank=modifier_rank)
    return gathered
