"""The checkpoint of another training that a recipe has its run start from (`resume_from_checkpoint`), as far as it can be
judged without torch. Nothing is ever written there.

Another run wrote it, or TRL under DeepSpeed ZeRO-3 elsewhere. As soon as the run has a checkpoint of its own, this one is not
looked at any more: whose it is may have removed it.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from grpo_contract.config import RunConfig
from grpo_contract.failure import PodReason, UserError
from grpo_contract.files import RUNS, checkpoint_folder, is_on_volume, model_folder
from grpo_contract.model_folder import CONFIG_NAME
from grpo_contract.paths import is_path, listing, open_each, permission_needed, siblings
from grpo_contract.recipe.precision import precision_of
from grpo_trainer.storage.checkpoint_files import ADAPTER_CONFIG, LATEST, MARKER, SCHEDULER, TRAINER_STATE

KEY: Final = "resume_from_checkpoint"
FIELD: Final = f"spec.recipe.{KEY}"
REMEDY: Final = "name the folder of one checkpoint on the run's volume, which is mounted at /volume, or leave it out to start from the model"
OPTIMIZER_FILE: Final = re.compile(r"(bf16_)?zero_pp_rank_\d+_mp_rank_00_optim_states\.pt")
"""DeepSpeed's, one of each rank; of bf16 they have names of their own."""
MODEL_FILE: Final = re.compile(r"zero_pp_rank_\d+_mp_rank_00_model_states\.pt")
"""Of ZeRO-3 alone is there one of each rank."""
SHAPE: Final = (
    "model_type",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "vocab_size",
)


def starting_checkpoint(recipe: Mapping[str, Any]) -> Path | None:
    """What else the key may say is refused with the other keys that are not the recipe's to set."""
    value = recipe.get(KEY)
    return Path(value) if isinstance(value, str) and is_on_volume(value) else None


def check_starting_checkpoint(config: RunConfig) -> None:
    """
    Raises:
        UserError: the run would start from a folder that it cannot start from.
    """
    folder = starting_checkpoint(config.recipe)
    if folder is None or _has_own(config):
        return
    with permission_needed(FIELD, str(folder), PodReason.INVALID_RECIPE):
        step = _check_files(folder)
        states = _check_states(folder)
        open_each(states)
    _check_ranks(folder, states, config)
    _check_precision(folder, states, config)
    _check_model(folder, config.recipe)
    max_steps = config.recipe.get("max_steps") or 0
    if 0 < max_steps <= step:
        raise nothing_left(str(folder), step, max_steps, "max_steps")


def _has_own(config: RunConfig) -> bool:
    checkpoints = Path(checkpoint_folder(config.name, config.uid))
    return Path(model_folder(config.name, config.uid)).exists() or any(checkpoints.glob(f"checkpoint-*/{MARKER}"))


def _check_files(folder: Path) -> int:
    """Returns the checkpoint's step."""
    if not folder.is_dir():
        raise unsuitable(folder, "is a file" if folder.exists() else f"does not exist, {siblings(folder)}")
    for name in (TRAINER_STATE, LATEST, SCHEDULER):
        if not (folder / name).exists():
            problem = f"is no checkpoint that training under DeepSpeed could go on from, it has no {name} but {listing(folder)}"
            raise unsuitable(folder, problem)
    if folder.is_relative_to(RUNS) and not (folder / MARKER).exists():
        raise unsuitable(folder, f"is not complete, it has no {MARKER}, which a run writes last")
    try:
        return int(json.loads((folder / TRAINER_STATE).read_bytes())["global_step"])
    except (ValueError, TypeError, KeyError) as error:
        raise unsuitable(folder, f"is no checkpoint, its {TRAINER_STATE} names no global_step") from error


def _check_states(folder: Path) -> list[Path]:
    """Returns DeepSpeed's files with the optimizer's state, one of each rank."""
    states = folder / (folder / LATEST).read_text().strip()
    if not states.is_dir():
        raise unsuitable(folder, f"is not complete, its {LATEST} names {states.name}, and it has {listing(folder)}")
    optimizer = [file for file in states.iterdir() if OPTIMIZER_FILE.fullmatch(file.name)]
    num_models = sum(MODEL_FILE.fullmatch(file.name) is not None for file in states.iterdir())
    if not num_models or not optimizer:
        raise unsuitable(folder, f"was not written under ZeRO-3, {states.name} holds {listing(states)}")
    if num_models != len(optimizer):
        problem = f"is not complete, {states.name} holds the model of {num_models} ranks and the optimizer of {len(optimizer)}"
        raise unsuitable(folder, problem)
    return optimizer


def _check_ranks(folder: Path, states: list[Path], config: RunConfig) -> None:
    if len(states) == config.world_size:
        return
    raise unsuitable(
        folder,
        f"was written by {len(states)} learner processes, and this run has {config.world_size}, while each reads its own part",
        f"set spec.learners.replicas and gpus so that there are {len(states)}, or name a checkpoint of {config.world_size}",
    )


def _check_precision(folder: Path, states: list[Path], config: RunConfig) -> None:
    is_bf16 = states[0].name.startswith("bf16_")
    precision = precision_of(config.recipe, config.learners.device)
    if is_bf16 == (precision == "bfloat16"):
        return
    was = "in bfloat16" if is_bf16 else "not in bfloat16"
    where = "on CPU" if config.learners.device == "cpu" else "by bf16 and fp16 of the recipe"
    raise unsuitable(
        folder,
        f"was trained {was}, and this run computes in {precision} ({where})",
        f"set spec.recipe.bf16 to {str(is_bf16).lower()}{' on GPUs' if is_bf16 else ''}, or name another checkpoint",
    )


def _check_model(folder: Path, recipe: Mapping[str, Any]) -> None:
    """What of the model's shape its configuration tells; `starting_states` compares every parameter, once it is loaded."""
    is_adapter, uses_peft = (folder / ADAPTER_CONFIG).exists(), recipe.get("use_peft") is True
    if is_adapter != uses_peft:
        of, instead = ("an adapter", "true") if is_adapter else ("a whole model", "false")
        problem = f"is a checkpoint of {of}, and spec.recipe.use_peft is {str(uses_peft).lower()}"
        raise unsuitable(folder, problem, f"set use_peft to {instead}, or name another checkpoint")
    model = recipe.get("model_name_or_path")
    if not isinstance(model, str) or not is_path(model) or is_adapter:
        return
    own, its = _config_of(Path(model)), _config_of(folder)
    for key in SHAPE:
        if own and its and own.get(key) != its.get(key):
            raise other_model(str(folder), model, f"has {key} {its.get(key)}", f"has {key} {own.get(key)}")


def _config_of(folder: Path) -> dict[str, Any]:
    """Empty where there is none: with some settings, DeepSpeed's parts are all that is saved of a model."""
    try:
        config = json.loads((folder / CONFIG_NAME).read_bytes())
    except (OSError, ValueError):
        return {}
    return config if isinstance(config, dict) else {}


def other_model(folder: str, model: str, its: str, own: str) -> UserError:
    return unsuitable(
        folder,
        f"is of another model, it {its}, and spec.recipe.model_name_or_path {model!r} {own}",
        "name a checkpoint of this model, or set model_name_or_path to the model that was trained there",
    )


def nothing_left(folder: str, step: int, max_steps: int, key: str) -> UserError:
    return unsuitable(
        folder,
        f"is of step {step}, and the run has {max_steps} steps ({key}), counted from the first one of all, so that none is left",
        f"raise {key}",
    )


def unsuitable(folder: Path | str, problem: str, remedy: str = REMEDY) -> UserError:
    return UserError(PodReason.INVALID_RECIPE, f"{FIELD}: {str(folder)!r} {problem}; {remedy}.")
