"""What `kubectl grpo check` computes without torch, held against TRL's sampler and what transformers' layers keep."""

import pytest
import torch
from transformers import Qwen2Config, Qwen2Model
from trl.trainer.utils import RepeatSampler

from grpo_cli.batches import Batch
from grpo_cli.memory import layer_bytes
from grpo_cli.model_shape import read_shape

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
