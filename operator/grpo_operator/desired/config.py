"""The ConfigMap with the run's config file. Nothing in it depends on the attempt or on the number of generators. Learners read
it when they start: deadlines, or what is kept of completions, that have changed are those of the next attempt."""

import math
from typing import Literal

from grpo_contract.config import (
    SECONDS_PER_TOKEN,
    CheckpointConfig,
    CompletionsConfig,
    Deadlines,
    GeneratorConfig,
    LearnerConfig,
    RewardCode,
    RewardsConfig,
    RunConfig,
    SamplingConfig,
)
from grpo_contract.files import CONFIG_FILE
from grpo_contract.recipe.old_keys import Recipe
from grpo_operator.api.quantity import quantity
from grpo_operator.api.run import GRPORun
from grpo_operator.api.spec import Rewards, RunDeadlines
from grpo_operator.desired import names
from grpo_operator.desired.manifest import Manifest, build_metadata
from grpo_operator.desired.recipe import todays_recipe
from grpo_operator.settings import Settings


def build_config_map(run: GRPORun, settings: Settings) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": build_metadata(run, names.config_map(run.metadata.name)),
        "data": {CONFIG_FILE.name: run_config(run, settings).model_dump_json(indent=2)},
    }


def run_config(run: GRPORun, settings: Settings) -> RunConfig:
    name, namespace = run.metadata.name, run.metadata.namespace
    learners, generators, checkpoint = run.spec.learners, run.spec.generators, run.spec.checkpoint
    recipe, notes = todays_recipe(run.spec)
    return RunConfig(
        name=name,
        uid=run.metadata.uid,
        recipe=recipe,
        recipe_notes=tuple(notes),
        learners=LearnerConfig(
            pods=learners.replicas,
            processes_per_pod=learners.processes_per_pod,
            device=device(learners.gpus),
            rendezvous_host=names.rendezvous_host(name, namespace),
        ),
        generators=GeneratorConfig(
            service=names.generators_host(name, namespace),
            tensor_parallel_size=max(1, generators.gpus),
            device=device(generators.gpus),
            max_staleness=generators.max_staleness,
        ),
        checkpoint=CheckpointConfig(every_steps=checkpoint.every_steps, keep=checkpoint.keep),
        rewards=rewards_config(run.spec.rewards),
        sampling=SamplingConfig(dynamic=run.spec.sampling.dynamic, max_rounds=run.spec.sampling.max_rounds),
        keeps_models=bool(recipe.get("benchmarks")) and bool(settings.benchmarks.image),
        deadlines=deadlines(run.spec.deadlines, recipe),
        completions=CompletionsConfig(
            groups_per_step=run.spec.completions.groups_per_step,
            max_bytes=math.ceil(quantity(run.spec.completions.max_size)),
        ),
    )


def rewards_config(rewards: Rewards) -> RewardsConfig:
    code = tuple(
        RewardCode(config_map=source.config_map.name if source.config_map else None, path=source.path)
        for source in rewards.sources
    )
    return RewardsConfig(
        timeout_s=rewards.timeout_seconds,
        max_error_share=rewards.max_error_share,
        code=code,
        per_group=tuple(rewards.per_group),
    )


def deadlines(given: RunDeadlines, recipe: Recipe) -> Deadlines:
    """Of what is not given, the longest completion decides how long learners wait for a generator; and for each other, with what
    they make of it."""
    usual, longest = Deadlines(), recipe.get("max_completion_length") or 0
    generate_s = max(usual.generate_s, SECONDS_PER_TOKEN * longest)
    by_length = {"generate_s": generate_s, "collective_s": max(usual.collective_s, generate_s)}
    said = {
        f"{name.removesuffix('_seconds')}_s": float(seconds)
        for name, seconds in given.model_dump(exclude_none=True).items()
    }
    return usual.model_copy(update=by_length | said)


def device(gpus: int) -> Literal["cuda", "cpu"]:
    return "cuda" if gpus > 0 else "cpu"
