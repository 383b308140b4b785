"""The learner's work on every rank, in reading order: recipe, rewards, data, model, training, the trained model.

What may take long, such as a download, comes after what can be refused without it.
"""

import logging
import math
from collections.abc import Sequence, Sized
from pathlib import Path
from typing import Any

from accelerate import PartialState

from grpo_contract.config import RunConfig
from grpo_contract.failure import PodReason, RunFailure
from grpo_contract.files import benchmarks_folder, checkpoint_folder
from grpo_contract.metrics import PushOutcome, StartupPart
from grpo_contract.progress import CheckpointTrouble, Stage
from grpo_contract.recipe.evaluation import evaluates_trained_model
from grpo_trainer.batches import batches_of, divided, saved_batches
from grpo_trainer.building import (
    build_learner,
    keep_completions,
    owned_by_operator,
    start_rewards,
    start_trackers,
)
from grpo_trainer.decisions import decided_by_rank_0
from grpo_trainer.end_request import AskedToEnd, EndRequest
from grpo_trainer.evaluating.comparison import described_best
from grpo_trainer.evaluating.early_stopping import EarlyStopping
from grpo_trainer.evaluating.ended_early import ended_early
from grpo_trainer.evaluating.evaluation import at_step, check_evaluation
from grpo_trainer.exhaustion import OwnSteps, gpu_memory_named, volume_named
from grpo_trainer.hub.process import PushProcess
from grpo_trainer.hub.pusher import HubPusher
from grpo_trainer.hub.settings import read_settings
from grpo_trainer.inputs.loading import load_data
from grpo_trainer.inputs.tokenizer import load_tokenizer
from grpo_trainer.instruments.main_thread import MAIN_THREAD, Step
from grpo_trainer.instruments.metrics import LearnerMetrics
from grpo_trainer.instruments.progress import ProgressBoard
from grpo_trainer.instruments.startup import now
from grpo_trainer.learner import Learner
from grpo_trainer.missing_packages import packages_needed
from grpo_trainer.recipe import Recipe, parse_recipe
from grpo_trainer.storage import fence
from grpo_trainer.storage.checkpoints import Checkpoint, complete_checkpoints
from grpo_trainer.storage.final_model import FinalModel, add_evaluation, find_final_model, publish, save_final_model
from grpo_trainer.storage.keeper import CheckpointUser
from grpo_trainer.storage.kept_models import KeptModels
from grpo_trainer.storage.midway import TakeUpMidway
from grpo_trainer.storage.other_ranks import LOADS_UNIVERSAL, ForgetUniversal, make_universal, saved_ranks
from grpo_trainer.storage.resuming import check_start, find_checkpoint, without_best
from grpo_trainer.storage.saved_model import take_up_saved
from grpo_trainer.storage.starting_checkpoint import starting_checkpoint
from grpo_trainer.storage.starting_states import StepsLeft, check_shapes, resuming_named
from grpo_trainer.zero3 import zero3_config

log = logging.getLogger(__name__)


def train(config: RunConfig, metrics: LearnerMetrics, board: ProgressBoard) -> Path:
    """Train, or go on where the newest checkpoint is; returns the folder of the trained model.

    In a process group, on all of its ranks, which come to the end together but for rank 0, which pushes the model. Raises
    UserError, GeneratorsLost, or whatever else goes wrong.
    """
    pusher = start_pusher(config, metrics, board)
    with volume_named(config):
        saved, checkpoint = find_earlier_work(config, metrics, board)
        # Now that damaged checkpoints are set aside: a benchmark of one would be taken for the model's.
        users: list[CheckpointUser] = [user for user in (pusher, keep_models(config, board)) if user is not None]
        folder = train_model(config, metrics, board, users, saved, checkpoint)
    if pusher is not None:
        board.update(model=str(folder))  # it is saved, and what is left is to push it
        pusher.finish(folder)
    return folder


def start_pusher(config: RunConfig, metrics: LearnerMetrics, board: ProgressBoard) -> HubPusher | None:
    """On rank 0 of a run that pushes."""
    for outcome in PushOutcome:
        metrics.add("grpo_hub_pushes_total", 0, outcome.value)
    settings = read_settings(config.recipe, config.name)
    if settings is None or not PartialState().is_main_process:
        return None
    return HubPusher(settings, config, metrics, PushProcess(), pushed=lambda commit: board.update(pushed=commit))


def keep_models(config: RunConfig, board: ProgressBoard) -> KeptModels | None:
    """On rank 0 of a run whose checkpoints are benchmarked."""
    if not config.keeps_models or not PartialState().is_main_process:
        return None
    folder = Path(benchmarks_folder(config.name, config.uid))
    saved = complete_checkpoints(Path(checkpoint_folder(config.name, config.uid)))
    return KeptModels(folder, lambda steps: board.update(kept_models=steps), saved)


def train_model(
    config: RunConfig,
    metrics: LearnerMetrics,
    board: ProgressBoard,
    users: Sequence[CheckpointUser],
    saved: FinalModel | None,
    checkpoint: Checkpoint | None,
) -> Path:
    """`users`: of the recipe's checkpoints; on rank 0. `saved`, `checkpoint`: what earlier attempts have left."""
    if saved is not None:
        board.update_part("progress", step=saved.step, max_steps=saved.max_steps, ended_early=saved.ended_early)
        if saved.is_evaluated or not evaluates_trained_model(config.recipe):
            log.info("the trained model is saved: nothing is left to do")
            board.update(stage=Stage.SAVING)
            return saved.folder
        log.info("the trained model is saved, and is still to be evaluated")
        decided_by_rank_0(lambda: fence.take_over(saved.folder.parent))
        board.update(stage=Stage.EVALUATING, model=str(saved.folder))

    recipe = parse_recipe(config.recipe, owned_by_operator(config))
    is_of_other_ranks = checkpoint is not None and saved_ranks(checkpoint.folder) != config.world_size
    if checkpoint is not None and (own := suited(config, recipe, checkpoint)):
        recipe = parse_recipe(config.recipe, owned_by_operator(config) | own)
    start = starting_checkpoint(config.recipe) if saved is None and checkpoint is None else None
    check_evaluation(recipe)
    own_steps = OwnSteps(0 if saved is None else saved.step)
    with (
        gpu_memory_named(recipe.training, own_steps),
        packages_needed(config.recipe),
        start_rewards(config, recipe) as rewards,
    ):
        tokenizer = load_tokenizer(recipe)
        board.startup.end(StartupPart.TOKENIZER, now())
        required = rewards.required_columns()
        board.startup.end(StartupPart.REWARDS, now())
        data = load_data(recipe, required, as_messages=tokenizer.chat_template is not None)
        board.startup.end(StartupPart.DATA, now())
        learner = build_learner(config, recipe, tokenizer, data, rewards, checkpoint, users, metrics, board)
        learner.add_callback(own_steps)
        if saved is not None:
            take_up_saved(learner, saved.folder)
        elif checkpoint is not None:
            log.info("resuming from the checkpoint of step %d", checkpoint.marker.step)
            learner.add_callback(TakeUpMidway(learner, checkpoint.folder))
            if is_of_other_ranks:
                make_universal(checkpoint.folder)
                learner.add_callback(ForgetUniversal(learner, checkpoint.folder))
        elif start is not None:
            prepare_start(learner, recipe.model.model_name_or_path, start)
        with start_trackers(config, learner), keep_completions(config, learner, metrics):
            folder = saved.folder if saved is not None else train_and_save(learner, config, checkpoint, start, board)
            if recipe.training.do_eval:
                board.update(stage=Stage.EVALUATING, model=str(folder))
                add_evaluation(learner, config, evaluate_trained_model(learner))
    return folder


def find_earlier_work(
    config: RunConfig, metrics: LearnerMetrics, board: ProgressBoard
) -> tuple[FinalModel | None, Checkpoint | None]:
    """The trained model, or the checkpoint to go on from, whichever earlier attempts have left."""
    if (saved := find_final_model(config)) is not None:
        return saved, None
    for trouble in CheckpointTrouble:
        metrics.add("grpo_checkpoint_failures_total", 0, trouble.value)
    found = find_checkpoint(Path(checkpoint_folder(config.name, config.uid)))
    checkpoint, health = found.checkpoint, found.health
    metrics.add("grpo_checkpoint_failures_total", len(found.findings), CheckpointTrouble.DAMAGED.value)
    if health.message is not None and PartialState().is_main_process:
        log.error("%s", health.message)
    board.update(checkpoint_health=health, checkpoint=checkpoint.progress if checkpoint else None)
    if checkpoint is None or not checkpoint.is_last:
        return None, checkpoint
    log.info("step %d was the last one: only the model is to be saved", checkpoint.marker.step)
    board.update(stage=Stage.SAVING)
    return publish(checkpoint, config), None


def suited(config: RunConfig, recipe: Recipe, checkpoint: Checkpoint) -> dict[str, Any]:
    """TRL's arguments other than the recipe's own, for a run that began with another number of ranks: a step learns from as much
    as then, also in attempts after the first one with these ranks.

    Raises:
        RunFailure: that cannot be divided among so many ranks.
    """
    ranks_before = saved_ranks(checkpoint.folder)
    batches = decided_by_rank_0(lambda: saved_batches(checkpoint.folder, recipe.training, ranks_before))
    has_its_ranks = ranks_before == config.world_size
    if has_its_ranks and batches == batches_of(recipe.training, config.world_size):
        return {}
    own = divided(batches, recipe.training.per_device_train_batch_size, config.world_size)
    log.info(
        "the checkpoint of step %d is of %d ranks: each of the %d now makes %d passes of %d completions a step",
        *(checkpoint.marker.step, ranks_before, config.world_size),
        *(own["gradient_accumulation_steps"], own["per_device_train_batch_size"]),
    )
    return own if has_its_ranks else own | {"deepspeed": zero3_config(config.learners.device) | LOADS_UNIVERSAL}


def train_and_save(
    learner: Learner, config: RunConfig, checkpoint: Checkpoint | None, start: Path | None, board: ProgressBoard
) -> Path:
    """Returns the folder of the trained model."""
    with resuming_named(start):
        results = make_all_steps(learner, start if checkpoint is None else checkpoint.folder)
    board.update(stage=Stage.SAVING)
    tell_end(learner, board)
    rows = learner.train_dataset
    # A stream does not know its rows.
    counted = {"train_samples": len(rows)} if isinstance(rows, Sized) else {}
    request = EndRequest.of_pod()
    request.heed(math.inf)
    with MAIN_THREAD.within(Step.CHECKPOINT):
        folder = save_final_model(learner, config, results | counted)
    request.ignore()
    return folder


def evaluate_trained_model(learner: Learner) -> dict[str, float]:
    """Once it is saved: whatever becomes of an attempt here, the model is not trained again, and the next one comes back to
    this. Returns what transformers says of the evaluation, which is that of the last step where it had one."""
    learner.remove_callback(EarlyStopping)
    if learner.last_evaluation is None or learner.last_evaluation[0] != learner.trained_step:
        with at_step(learner, learner.trained_step):
            learner.evaluate()
    assert learner.last_evaluation is not None
    _, results = learner.last_evaluation
    return results | {"eval_samples": len(learner.eval_dataset)}


def prepare_start(learner: Learner, name: str, folder: Path) -> None:
    """From another training's checkpoint of the model `name`.

    Raises:
        UserError: it is of another model, or damaged.
    """
    check_start(folder)
    check_shapes(learner.model, name, learner.args.process_index, folder)
    learner.add_callback(StepsLeft(folder))
    learner.starts_elsewhere = True
    log.info("starting from the checkpoint in %s", folder)


def make_all_steps(learner: Learner, resume_from: Path | None) -> dict[str, float]:
    """Returns what transformers says of the training.

    Raises:
        AskedToEnd: a pod was asked to end, and the last finished step is saved.
        RunFailure: it came back before the last step, and not because evaluations had ended it. Saved as the trained model,
            that would be final.
    """
    try:
        results: dict[str, float] = learner.train(
            resume_from_checkpoint=None if resume_from is None else str(resume_from)
        ).metrics
    except AskedToEnd as error:
        assert learner.ending is not None
        raise learner.ending.save_step(learner) from error
    done, wanted = learner.state.global_step, learner.state.max_steps
    if done < wanted and ended_early(learner.state.stateful_callbacks) is None:
        raise RunFailure(
            PodReason.LEARNER_ERROR,
            f"training ended after step {done} of {wanted}: the data set gave no more rows; the next attempt goes on from the "
            "newest checkpoint.",
        )
    return results


def tell_end(learner: Learner, board: ProgressBoard) -> None:
    """Which steps were made, and which of them the trained model is of, where that is not said by the last one."""
    state, reason = learner.state, ended_early(learner.state.stateful_callbacks)
    if reason is not None:
        log.info("training ended early, at step %d of %d: %s", state.global_step, state.max_steps, reason)
        board.update_part("progress", ended_early=reason, eta_seconds=None)
    if learner.lost_best is not None:
        health = without_best(learner.lost_best)
        if learner.is_world_process_zero():
            log.error("%s", health.message)
        board.update(checkpoint_health=health)
    if learner.trained_step != state.global_step:
        log.info(
            "the best model, of step %d, is loaded: %s",
            learner.trained_step,
            described_best(state.best_metric, learner.args.metric_for_best_model),
        )
