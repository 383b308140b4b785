"""What a training is made of, put together: rewards, the learner with its callbacks, trackers."""

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any, Final

from accelerate.utils import is_peft_model
from transformers import PreTrainedTokenizerBase, PrinterCallback, Trainer

from grpo_contract import environment
from grpo_contract.config import RunConfig
from grpo_contract.files import checkpoint_folder, completions_folder, trackers_folder
from grpo_contract.network import GENERATOR_PORT, LOOPBACK, WEIGHTS_PORT
from grpo_contract.pod import attempt, read_token
from grpo_contract.recipe.comparison import what_compares
from grpo_trainer import device
from grpo_trainer.causes import modules_of
from grpo_trainer.completions.archive import Archive
from grpo_trainer.completions.keeper import CompletionsKeeper
from grpo_trainer.end_request import EndRequest
from grpo_trainer.ending import Ending
from grpo_trainer.evaluating.early_stopping import early_stopping_of
from grpo_trainer.evaluating.evaluation import check_rows
from grpo_trainer.evaluating.once import OnceAStep
from grpo_trainer.fleet.discovery import ServiceDiscovery
from grpo_trainer.fleet.generation import FleetSettings
from grpo_trainer.inputs.data import Data, check_size
from grpo_trainer.inputs.hub_silence import loading_model
from grpo_trainer.inputs.lora import adapter_of, check_targets, targets_named
from grpo_trainer.inputs.quantisation import computed_in, quantisation_of, quantised_named, suit_run
from grpo_trainer.instruments.metrics import LearnerMetrics
from grpo_trainer.instruments.progress import ProgressBoard
from grpo_trainer.learner import Learner
from grpo_trainer.light_trl import GRPOTrainer
from grpo_trainer.recipe import Recipe, invalid, model_arguments
from grpo_trainer.reports.completions_report import CompletionsReport
from grpo_trainer.reports.evaluation_report import EvaluationReport
from grpo_trainer.reports.fleet_report import FleetReport
from grpo_trainer.reports.partition import PartitionReport
from grpo_trainer.reports.startup_report import StartupReport
from grpo_trainer.reports.step_of_log import TellStep
from grpo_trainer.reports.step_report import StepReport
from grpo_trainer.reports.tracker_report import TrackerReport
from grpo_trainer.rewards.arguments import RewardArguments
from grpo_trainer.rewards.processes.remote import RewardProcesses
from grpo_trainer.rewards.watch import RewardWatch
from grpo_trainer.sampling.arrivals import ScoringOnArrival
from grpo_trainer.settled import SettledObjects
from grpo_trainer.storage.checkpoints import Checkpoint
from grpo_trainer.storage.keeper import CheckpointKeeper, CheckpointUser
from grpo_trainer.trackers.process import TrackerProcess
from grpo_trainer.trackers.records import Start
from grpo_trainer.trackers.settings import environment_of, own_trackers
from grpo_trainer.zero3 import zero3_config

TRAINERS: Final = frozenset({GRPOTrainer.__module__, Trainer.__module__})
"""A ValueError that they raise themselves is how they refuse what cannot go together. From below (loading the model,
DeepSpeed, sockets) it may be anything."""


def owned_by_operator(config: RunConfig) -> dict[str, Any]:
    """TRL's arguments that are the operator's: where things lie, how ranks work together, who generates."""
    return (
        device.training_arguments(config.learners.device)
        | {
            "output_dir": str(checkpoint_folder(config.name, config.uid)),
            "deepspeed": zero3_config(config.learners.device),
            "ddp_timeout": int(config.deadlines.library_s),
            "use_vllm": False,  # the fleet takes TRL's seam after TRL's own set-up
            "disable_tqdm": True,
            "save_only_model": False,  # a checkpoint that cannot be resumed from is no checkpoint
            "enable_jit_checkpoint": False,  # each rank would save what it has; a run does it together, whatever the recipe says
            "push_to_hub": False,  # a pusher of ours does it: transformers' would end a run when the hub is down
        }
    )


def start_rewards(config: RunConfig, recipe: Recipe) -> RewardProcesses:
    """Their processes load what they need while this one goes on."""
    parameters = {parameter.name: getattr(recipe.script, parameter.name) for parameter in fields(RewardArguments)}
    return RewardProcesses(
        recipe.script.reward_funcs,
        RewardArguments(**parameters),
        config.rewards,
        config.learners.device,
        config.deadlines,
        RewardWatch(config.rewards.max_error_share),
    )


def build_learner(
    config: RunConfig,
    recipe: Recipe,
    tokenizer: PreTrainedTokenizerBase,
    data: Data,
    rewards: RewardProcesses,
    checkpoint: Checkpoint | None,
    users: Sequence[CheckpointUser],
    metrics: LearnerMetrics,
    board: ProgressBoard,
) -> Learner:
    check_amounts(data, recipe)
    arguments = recipe.training
    keeper = CheckpointKeeper(
        config.checkpoint, Path(arguments.output_dir), arguments.save_total_limit, newest=checkpoint, users=users
    )
    arguments.save_total_limit = None  # the keeper applies it
    request = EndRequest.of_pod()
    ending = Ending(request, keeper)
    arguments.eval_on_start = arguments.eval_on_start and checkpoint is None  # of the run, not of an attempt
    quantisation = quantisation_of(recipe.model, arguments)
    is_in_numbers_of_run = config.learners.device == "cpu" or quantisation is not None
    arguments.model_init_kwargs = model_arguments(recipe, computed_in(arguments) if is_in_numbers_of_run else None)
    fleet = FleetReport(metrics, board)
    with refusals_named(config, recipe):
        learner = Learner(
            rewards=rewards.functions,
            watch=rewards.watch,
            on_arrival=ScoringOnArrival(rewards.functions.values(), tokenizer),
            max_prompt_length=recipe.script.max_prompt_length,
            model=recipe.model.model_name_or_path,
            args=arguments,
            train_dataset=data.training,
            eval_dataset=data.evaluation,
            processing_class=tokenizer,
            callbacks=[
                *(TellStep(), SettledObjects(), OnceAStep(), ending, keeper, PartitionReport()),
                *early_stopping_of(recipe.script),
            ],
            keeper=keeper,
            ending=ending,
            compared_by=arguments.metric_for_best_model if what_compares(config.recipe) else None,
            fleet=fleet_settings(config, fleet, request),
            refill_rounds=config.sampling.max_rounds if config.sampling.dynamic else 0,
            peft_config=adapter_of(recipe.model),
            quantization_config=quantisation,
        )
    if quantisation is not None:
        suit_run(learner.model, recipe.model.model_name_or_path, computed_in(arguments))
    if is_peft_model(learner.model):
        check_targets(learner.model, config.recipe.get("lora_target_modules"))
    learner.remove_callback(PrinterCallback)
    if learner.is_world_process_zero():
        add_reports(learner, keeper, fleet, metrics, board)
    return learner


def check_amounts(data: Data, recipe: Recipe) -> None:
    arguments = recipe.training
    check_size(data.training, arguments.generation_batch_size // arguments.num_generations, recipe.script)
    if data.evaluation is not None:
        check_rows(len(data.evaluation), arguments)


@contextmanager
def refusals_named(config: RunConfig, recipe: Recipe) -> Iterator[None]:
    """Around what loads the model and makes TRL's trainer of it.

    Raises:
        UserError: for what they refuse of the recipe.
    """
    name = recipe.model.model_name_or_path
    try:
        with (
            loading_model(name, recipe.model.model_revision),
            quantised_named(name),
            targets_named(config.recipe.get("lora_target_modules")),
        ):
            yield
    except ValueError as error:
        if modules_of(error)[-1] not in TRAINERS:
            raise
        raise invalid(str(error)) from error


def add_reports(
    learner: Learner, keeper: CheckpointKeeper, fleet: FleetReport, metrics: LearnerMetrics, board: ProgressBoard
) -> None:
    """On rank 0."""
    learner.add_callback(StepReport(learner, keeper, fleet, metrics, board))
    evaluations = EvaluationReport(learner.reward_func_names, metrics, board)
    learner.add_callback(evaluations)
    learner.compared = evaluations.compared
    learner.add_callback(StartupReport(board.startup, metrics))


def start_trackers(config: RunConfig, learner: Learner) -> AbstractContextManager[object]:
    """On rank 0 of a run that is tracked."""
    names = own_trackers(config.recipe)
    if not names or not learner.is_world_process_zero():
        return nullcontext()
    start = Start(
        trackers=names,
        folder=Path(trackers_folder(config.name, config.uid)),
        name=config.recipe.get("run_name") or config.name,
        id=config.uid,
        config=config.recipe,
    )
    trackers = TrackerProcess(start, environment_of(config.recipe, start.folder, os.environ))
    learner.add_callback(TrackerReport(learner, trackers))
    return trackers


@contextmanager
def keep_completions(config: RunConfig, learner: Learner, metrics: LearnerMetrics) -> Iterator[None]:
    """On all ranks, which hand them over together, whatever their files say by now of how many are kept; rank 0 writes."""
    metrics.add("grpo_completions_not_kept_total", 0)
    learner.generated = CompletionsReport(learner, None).generated
    most_groups = config.completions.groups_per_step
    if not learner.is_world_process_zero() or most_groups == 0:
        yield
        return
    folder = Path(completions_folder(config.name, config.uid))
    archive = Archive(folder, attempt(), config.completions.max_bytes)
    lost = partial(metrics.add, "grpo_completions_not_kept_total")
    with CompletionsKeeper(archive, folder.parent, most_groups, lost) as keeper:
        learner.generated = CompletionsReport(learner, keeper).generated
        yield


def fleet_settings(config: RunConfig, observer: FleetReport, request: EndRequest) -> FleetSettings:
    return FleetSettings(
        discovery=ServiceDiscovery(config.generators.service, GENERATOR_PORT),
        read_token=read_token,
        weights_host=os.environ.get(environment.POD_IP, LOOPBACK),
        weights_port=WEIGHTS_PORT,
        deadlines=config.deadlines,
        observer=observer,
        max_staleness=config.generators.max_staleness,
        is_asked_to_end=request.is_made,
    )
