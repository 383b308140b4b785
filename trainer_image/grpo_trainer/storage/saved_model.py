"""A learner with the trained model that an earlier attempt has saved, for what that one did not come to: the evaluation.

It is made from the recipe's model, which stays the reference policy, and then given the trained weights. It cannot train on:
the optimizer's state is not saved with a model.
"""

from pathlib import Path
from typing import Any

import torch
from accelerate.utils import is_peft_model
from transformers import TrainerState

from grpo_trainer.storage.checkpoint_files import ADAPTER_WEIGHTS, TRAINER_STATE


def take_up_saved(learner: Any, folder: Path) -> None:
    """The learner is where its training would have left it. On every rank."""
    state = TrainerState.load_from_json(str(folder / TRAINER_STATE))
    state.init_training_references(learner, state.max_steps, state.num_train_epochs, None)
    learner.state = state
    if learner.args.load_best_model_at_end:
        learner.best_step_loaded = state.best_global_step
    if is_peft_model(learner.model):
        load_adapter(learner.model, folder)
    else:
        load_weights(learner.model, folder)


def load_adapter(model: Any, folder: Path) -> None:
    from peft import set_peft_model_state_dict  # only runs that train an adapter need it
    from safetensors.torch import load_file

    set_peft_model_state_dict(model, load_file(folder / ADAPTER_WEIGHTS))


def load_weights(model: Any, folder: Path) -> None:
    """By transformers, which knows how its models are saved, and splits them over the ranks as it did the first one."""
    trained = type(model).from_pretrained(folder, dtype=model.dtype)
    for own, new in zip(model.parameters(), trained.parameters(), strict=True):
        held_by_rank(own).copy_(held_by_rank(new))


def held_by_rank(parameter: torch.Tensor) -> torch.Tensor:
    held: torch.Tensor = getattr(parameter, "ds_tensor", parameter).data
    return held
