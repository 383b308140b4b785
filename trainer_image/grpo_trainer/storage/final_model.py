"""The trained model: weights, tokenizer, generation configuration, model card, in a folder that is whole or absent.

Beside them lie trainer_state.json, whose log_history is the run's curve, train_results.json and, of a run that evaluates,
eval_results.json.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import PartialState

from grpo_contract.config import RunConfig
from grpo_contract.files import model_folder
from grpo_trainer.decisions import decided_by_rank_0
from grpo_trainer.evaluating.ended_early import ended_early
from grpo_trainer.storage import fence, flushing
from grpo_trainer.storage.checkpoint_files import (
    EVAL_RESULTS,
    MODEL_CARD,
    NEEDED_TO_RESUME,
    TRAIN_RESULTS,
    TRAINER_STATE,
)
from grpo_trainer.storage.checkpoints import Checkpoint
from grpo_trainer.storage.flushing import flush_one
from grpo_trainer.storage.model_card import card_of


@dataclass(frozen=True)
class FinalModel:
    folder: Path
    step: int
    max_steps: int
    ended_early: str | None
    is_evaluated: bool


def find_final_model(config: RunConfig) -> FinalModel | None:
    """What an earlier attempt has put in place, which was ended a moment before all of its ranks were. A collective."""
    folder = Path(model_folder(config.name, config.uid))

    def seen_by_rank_0() -> FinalModel | None:
        if not folder.exists():
            return None
        state = json.loads((folder / TRAINER_STATE).read_text())
        return FinalModel(
            folder,
            state["global_step"],
            state["max_steps"],
            ended_early(state["stateful_callbacks"]),
            (folder / EVAL_RESULTS).exists(),
        )

    return decided_by_rank_0(seen_by_rank_0)


def save_final_model(learner: Any, config: RunConfig, results: Mapping[str, float]) -> Path:
    """A collective: under ZeRO-3 every rank holds a part of each weight. `results`: what training returned."""
    folder = Path(model_folder(config.name, config.uid))
    partial = partial_of(folder)
    if learner.is_world_process_zero():
        begin(folder)
    learner.accelerator.wait_for_everyone()
    learner.save_model(str(partial))
    if learner.is_world_process_zero():
        learner.state.save_to_json(str(partial / TRAINER_STATE))
        # As Trainer.save_metrics writes it, which knows only the folder of the checkpoints.
        (partial / TRAIN_RESULTS).write_text(json.dumps(results, indent=4, sort_keys=True))
        put_in_place(partial, folder, config, learner.trained_step)
    learner.accelerator.wait_for_everyone()
    return folder


def add_evaluation(learner: Any, config: RunConfig, results: Mapping[str, float]) -> None:
    """To the model that is in place, whose curve and card now tell of it as well. A collective."""
    folder = Path(model_folder(config.name, config.uid))
    if learner.is_world_process_zero():
        fence.check(folder.parent)
        write_beside(folder / EVAL_RESULTS, lambda file: file.write_text(json.dumps(results, indent=4, sort_keys=True)))
        write_beside(folder / TRAINER_STATE, lambda file: learner.state.save_to_json(str(file)))
        write_beside(folder / MODEL_CARD, lambda file: file.write_text(card_of(folder, config, learner.trained_step)))
        flush_one(folder)
    learner.accelerator.wait_for_everyone()


def write_beside(file: Path, write: Callable[[Path], Any]) -> None:
    """What is there stays until its successor is whole."""
    partial = file.with_name(f".{file.name}.partial")
    write(partial)
    flush_one(partial)
    partial.rename(file)


def publish(checkpoint: Checkpoint, config: RunConfig) -> FinalModel:
    """The model that the checkpoint of the last step says, for an attempt that ended between the two. A collective.

    Without train_results.json: no attempt has lived to sum it up.
    """
    folder = Path(model_folder(config.name, config.uid))
    ranks = PartialState()
    if ranks.is_main_process:
        partial = partial_of(folder)
        begin(folder)
        shutil.copytree(checkpoint.trained_model, partial, ignore=shutil.ignore_patterns(*NEEDED_TO_RESUME))
        state = json.loads((checkpoint.folder / TRAINER_STATE).read_text())  # that of all steps
        if config.recipe.get("load_best_model_at_end") and checkpoint.marker.best_step is None:
            state |= dict.fromkeys(("best_metric", "best_global_step", "best_model_checkpoint"))  # it is lost
        (partial / TRAINER_STATE).write_text(json.dumps(state, indent=2, sort_keys=True) + "\n")
        put_in_place(partial, folder, config, checkpoint.trained_step)
    ranks.wait_for_everyone()
    return FinalModel(
        folder, checkpoint.marker.step, checkpoint.marker.max_steps, checkpoint.marker.ended_early, is_evaluated=False
    )


def partial_of(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.partial")


def begin(folder: Path) -> None:
    """Remove what an attempt that ended while it wrote has left, unless a later one is writing.

    Raises:
        RunFailure: a later attempt has taken over.
    """
    fence.check(folder.parent)
    shutil.rmtree(partial_of(folder), ignore_errors=True)


def put_in_place(partial: Path, folder: Path, config: RunConfig, trained_step: int) -> None:
    fence.check(folder.parent)
    card = partial / MODEL_CARD
    card.write_text(card_of(partial, config, trained_step))
    readable = card.stat().st_mode
    for file in partial.iterdir():  # those of safetensors can be read by their owner alone, who is nobody elsewhere
        file.chmod(readable)
    flushing.put_in_place(partial, folder)
