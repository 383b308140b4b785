"""What `kubectl grpo check` computes without torch, held against the sampler, the loop, the batches and the layers of TRL,
transformers and accelerate."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate.data_loader import BatchSamplerShard
from torch.utils.data import BatchSampler
from transformers import DefaultFlowCallback, Qwen2Config, Qwen2Model, TrainerControl, TrainerState
from trl.trainer.utils import RepeatSampler

from grpo_cli.batches import Batch
from grpo_cli.evaluations import Evaluations, evaluations_of
from grpo_cli.memory import layer_bytes
from grpo_cli.model_shape import read_shape
from grpo_cli.plan import Plan
from grpo_operator.api.recipe_keys import read_recipe_schema, trl_defaults
from grpo_operator.api.spec import GRPORunSpec

CONFIG = Qwen2Config(
    hidden_size=64,
    intermediate_size=320,
    num_attention_heads=4,
    num_key_value_heads=2,
    vocab_size=128,
    attn_implementation="sdpa",
)
TOKENS = 256


def kept_bytes(layers: int) -> int:
    """Of all storages that a forward pass keeps for the backward one, parameters aside."""
    CONFIG.num_hidden_layers = layers
    model = Qwen2Model(CONFIG).to(torch.bfloat16).train()
    parameters = {parameter.data_ptr() for parameter in model.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(torch.zeros(1, TOKENS, dtype=torch.long), use_cache=False)
    return sum(tensor.untyped_storage().nbytes() for at, tensor in kept.items() if at not in parameters)


def test_a_layer_keeps_what_is_estimated() -> None:
    measured = (kept_bytes(3) - kept_bytes(1)) / 2 / TOKENS
    estimated = layer_bytes(read_shape("config.json", CONFIG.to_dict()), width=2)
    assert estimated == 2 * 8 * 64 + 2 * 2 * 6 * 16 + 4 * 2 * 320 == 3968
    assert measured == pytest.approx(estimated, rel=0.01)


@pytest.mark.parametrize(
    ("batch", "rows"),
    [
        (Batch(8, 16, 4, 4, 16, 1), 9373),
        (Batch(1, 8, 1, 1, 8, 2), 10),
        (Batch(1, 8, 4, 2, 8, 1), 6),
        (Batch(2, 4, 2, 8, 8, 3), 101),
    ],
)
def test_an_epoch_has_the_steps_of_trls_sampler(batch: Batch, rows: int) -> None:
    sampler = RepeatSampler(
        range(rows),
        mini_repeat_count=batch.num_generations,
        batch_size=batch.prompts_per_generation,
        repeat_count=batch.num_iterations * batch.steps_per_generation,
    )
    loaded, rest = divmod(len(sampler), batch.completions_per_generation)  # batches of the data loader on all processes
    assert rest == 0
    assert batch.steps_per_epoch(rows) == loaded // batch.accumulation + int(loaded % batch.accumulation > 0)


def plan_of(recipe: dict[str, Any], rows: int) -> Plan:
    spec = GRPORunSpec.model_validate({"recipe": recipe, "storage": {}})
    return Plan(spec, recipe, trl_defaults(read_recipe_schema()), rows)


def evaluated_steps(recipe: dict[str, Any], passes: int, max_steps: int) -> list[int]:
    """What transformers' own callback asks for in its Trainer's loop over epochs of so many passes, one pass a step. Of a
    stream it takes max_steps for the passes of an epoch."""
    told_passes = max_steps if recipe.get("dataset_streaming") else passes
    keys = {"eval_delay": 0, "eval_steps": None, "logging_steps": 1, "save_steps": 500} | recipe
    args: Any = SimpleNamespace(**keys, logging_strategy="no", save_strategy="no", logging_first_step=False)
    state, control, flow = TrainerState(max_steps=max_steps), TrainerControl(), DefaultFlowCallback()
    state.compute_steps(args, max_steps)
    steps: list[int] = []

    def see() -> None:
        if control.should_evaluate:
            steps.append(state.global_step)
            control.should_evaluate = False

    while not control.should_training_stop:
        epoch = state.global_step // passes
        for number in range(passes):
            state.global_step, state.epoch = state.global_step + 1, epoch + (number + 1) / told_passes
            flow.on_step_end(args, state, control)
            see()
            if control.should_training_stop:
                break
        flow.on_epoch_end(args, state, control)
        see()
    return steps


@pytest.mark.parametrize("max_steps", [6, 7, 8, 20])
@pytest.mark.parametrize("delay", [0, 0.5, 1, 1.75, 2, 6.5, 7, 30])
@pytest.mark.parametrize(
    "recipe",
    [
        {"eval_strategy": "epoch"},
        {"eval_strategy": "epoch", "dataset_streaming": True},
        {"eval_strategy": "steps", "eval_steps": 1},
        {"eval_strategy": "steps", "eval_steps": 3},
        {"eval_strategy": "steps", "eval_steps": 0.3},
        {"eval_strategy": "steps", "eval_steps": 50},
    ],
)
def test_a_run_evaluates_as_often_as_transformers_asks_for(
    recipe: dict[str, Any], delay: float, max_steps: int
) -> None:
    recipe = recipe | {"eval_delay": delay}
    steps = evaluated_steps(recipe, 4, max_steps)
    schedule = evaluations_of(plan_of(recipe | {"max_steps": max_steps}, rows=4)).schedule
    assert schedule is not None
    assert (schedule.in_training, schedule.at_end) == (len(steps), int(max_steps not in steps))


@pytest.mark.parametrize("drops_last", [False, True])
@pytest.mark.parametrize("rows", [1, 3, 4, 9, 100])
def test_an_evaluation_has_the_completions_of_accelerates_batches(rows: int, drops_last: bool) -> None:
    """3 processes x 4 = 12 completions of 6 rows at a time."""
    sampler = RepeatSampler(range(rows), mini_repeat_count=2, seed=0)
    batches = BatchSampler(sampler, batch_size=4, drop_last=drops_last)
    shards = [BatchSamplerShard(batches, num_processes=3, process_index=rank) for rank in range(3)]
    completions = sum(len(batch) for shard in shards for batch in shard)
    assert Evaluations(rows, 12, 2, drops_last, None).completions_per_evaluation == completions
