"""Bytes that a run needs on a learner's GPU and on a generator's GPU, estimated. docs/cli.md explains the terms.

P parameters, N learner processes, c bytes of a number in what the run computes in, T tokens of a pass, h hidden size,
V vocabulary, L layers, Q parameters in 4 bit.

Sources:
    Rajbhandari et al. 2020, ZeRO (arXiv:1910.02054), section 3.1 and figure 1: stage 3 splits parameters, gradients and
    optimizer states over N; Adam's states are K = 12 bytes a parameter (float32 copy, momentum, variance).
    Korthikanti et al. 2022 (arXiv:2205.05198), section 4: activations of a layer are its inputs to matrix products and
    non-linearities, and with recomputation only the layer's own input is kept.
    Dettmers et al. 2023, QLoRA (arXiv:2305.14314), section 3: a float32 scale for each 64 weights of 4 bit or, with double
    quantisation, 8 bits for it and a float32 for each 256 of these.
    Kwon et al. 2023, PagedAttention (arXiv:2309.06180): keys and values of every token, layer and head.
    The pinned DeepSpeed (stage3_max_live_parameters), TRL (kernels/chunked_logprob.py) and vLLM (gpu_memory_utilization).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from grpo_cli.adapter import adapter_parameters
from grpo_cli.finding import Finding, error, note
from grpo_cli.model_shape import ModelShape
from grpo_cli.plan import Plan

GIB: Final = 2**30
MIB: Final = 2**20
FLOAT32: Final = 4
ADAM: Final = 12
"""Bytes of optimizer state per parameter, a float32 copy of the parameter included."""
OPTIMIZERS: Final[dict[str | None, int]] = {
    None: ADAM,
    **dict.fromkeys(("adamw_torch", "adamw_torch_fused"), ADAM),
    **dict.fromkeys(("adamw_bnb_8bit", "adamw_8bit", "adamw_torch_8bit"), 6),
    **dict.fromkeys(("sgd", "adafactor"), 4),
}
"""Others are counted as Adam."""
FIXED: Final = ("parameters", "scales of 4 bit", "adapter", "gradients", "optimizer", "reference model")
"""Of a learner's bytes, what no smaller batch saves."""
SCALE: Final = 4 / 64
NESTED_SCALE: Final = 1 / 64 + 4 / (64 * 256)
"""Bytes per weight of 4 bit, beside the half byte that it is."""
MOST_LIVE: Final = 10**9
"""DeepSpeed's stage3_max_live_parameters: how many may be gathered at a time."""
TILE_TOKENS: Final = 4096
TILE_VOCABULARY: Final = 32768
"""TRL never holds all logits: it goes through them in tiles of this size."""
VLLM_SHARE: Final = 0.92
"""vLLM's gpu_memory_utilization where the recipe has none."""


@dataclass(frozen=True)
class Model:
    parameters: int
    shape: ModelShape | None = None
    """None: what depends on it is not estimated."""


@dataclass(frozen=True)
class Gpu:
    prompt_tokens: int = 512
    """Where max_prompt_length does not say."""
    memory_gib: float | None = None


@dataclass(frozen=True)
class Memory:
    learner_bytes: dict[str, int]
    """{what: bytes}, on each GPU."""
    generator_bytes: dict[str, int]
    completion_tokens: int | None
    """Of the longest completion with its prompt."""
    completions_per_generator: int
    """Asked for at a time."""
    completions_that_fit: int | None = None
    """At full length, where the GPU's memory is known."""

    @property
    def learner_total(self) -> int:
        return sum(self.learner_bytes.values())


def estimate(plan: Plan, model: Model, gpu: Gpu) -> Memory | None:
    """None on CPU, where a run computes in float32 and memory is the node's."""
    if plan.spec.learners.gpus == 0:
        return None
    tokens = longest_tokens(plan, model.shape, gpu)
    prompts = -(-plan.batch.prompts_per_generation // plan.spec.generators.replicas)
    generator = generator_bytes(plan, model, tokens)
    return Memory(
        learner_bytes=learner_bytes(plan, model, tokens),
        generator_bytes=generator,
        completion_tokens=tokens,
        completions_per_generator=prompts * plan.batch.num_generations,
        completions_that_fit=that_fit(plan, gpu, generator),
    )


def longest_tokens(plan: Plan, shape: ModelShape | None, gpu: Gpu) -> int | None:
    """None: completions have no bound that is known."""
    completion = plan.value("max_completion_length")
    prompt = plan.value("max_prompt_length") or gpu.prompt_tokens
    bounds = (
        None if completion is None else completion + prompt,
        plan.value("vllm_max_model_length"),
        None if shape is None else shape.longest,
    )
    return min((tokens for tokens in bounds if tokens is not None), default=None)


def number_bytes(plan: Plan) -> int:
    """bf16 is TRL's default, unless the recipe says fp16."""
    return FLOAT32 if plan.value("bf16") is False and not plan.value("fp16") else 2


def learner_bytes(plan: Plan, model: Model, tokens: int | None) -> dict[str, int]:
    processes, width = plan.batch.processes, number_bytes(plan)
    held, trained = base_bytes(plan, model), trained_parameters(plan, model) / processes
    has_reference = plan.value("beta") and not plan.value("use_peft")  # else it is the model without its adapter
    parts = {
        "parameters": held / processes,
        "scales of 4 bit": scale_bytes(plan, model),
        "adapter": width * trained if plan.value("use_peft") else 0,
        "gradients": width * trained,
        "optimizer": OPTIMIZERS.get(plan.value("optim"), ADAM) * trained,
        "reference model": held / processes if has_reference else 0,
        "gathered parameters": min(held, width * MOST_LIVE) if processes > 1 else 0,
    }
    if model.shape is not None and tokens is not None:
        parts["activations"] = activation_bytes(plan, model.shape, tokens)
        parts["logits"] = logit_bytes(plan, model.shape)
    return {name: int(size) for name, size in parts.items() if size}


def base_bytes(plan: Plan, model: Model) -> float:
    """Of the model as learners hold it, all of them together."""
    quantised = in_4_bit(plan, model)
    return quantised / 2 + number_bytes(plan) * (model.parameters - quantised)


def scale_bytes(plan: Plan, model: Model) -> float:
    """ZeRO-3 does not split them."""
    return in_4_bit(plan, model) * (NESTED_SCALE if plan.value("use_bnb_nested_quant") else SCALE)


def in_4_bit(plan: Plan, model: Model) -> int:
    """Parameters that are: those of linear layers but the head; all of a model whose shape is not known."""
    if not plan.value("load_in_4bit"):
        return 0
    return model.parameters if model.shape is None else model.shape.in_layers


def trained_parameters(plan: Plan, model: Model) -> int:
    """An adapter of a model whose shape is not known counts as nothing."""
    if not plan.value("use_peft"):
        return model.parameters
    return 0 if model.shape is None else adapter_parameters(plan, model.shape)


def activation_bytes(plan: Plan, shape: ModelShape, tokens: int) -> int:
    """What a backward pass needs: all of every layer, or each layer's input and all of the one that is recomputed."""
    passed, width = plan.batch.per_device * tokens, number_bytes(plan)
    of_layer = layer_bytes(shape, width)
    if plan.value("gradient_checkpointing"):
        return passed * (shape.layers * shape.hidden * width + of_layer)
    return passed * shape.layers * of_layer


def layer_bytes(shape: ModelShape, width: int) -> int:
    """Of one token: what transformers' layers keep. Norms compute in float32; flash attention keeps no scores."""
    norms = 2 * (FLOAT32 + 2 * width) * shape.hidden  # each: its input, normalized, and weighted
    attention = 2 * width * (shape.heads + shape.kv_heads) * shape.head_dim  # queries, its output; keys, values
    feed_forward = 4 * width * shape.intermediate  # gate, up, the activated gate, their product
    return norms + attention + feed_forward


def logit_bytes(plan: Plan, shape: ModelShape) -> int:
    """One tile, and the gradients of the head and of its input in float32."""
    completion = plan.batch.per_device * (plan.value("max_completion_length") or TILE_TOKENS)
    tile = min(completion, TILE_TOKENS) * TILE_VOCABULARY * number_bytes(plan)
    return tile + FLOAT32 * shape.hidden * (shape.vocabulary + completion)


def generator_bytes(plan: Plan, model: Model, tokens: int | None) -> dict[str, int]:
    width, gpus = number_bytes(plan), plan.spec.generators.gpus
    parts = {"weights": width * model.parameters // gpus}
    if model.shape is not None and tokens is not None:
        heads = max(1, model.shape.kv_heads // gpus)
        parts["KV cache of one completion"] = 2 * model.shape.layers * heads * model.shape.head_dim * width * tokens
    return parts


def that_fit(plan: Plan, gpu: Gpu, generator: dict[str, int]) -> int | None:
    per_completion = generator.get("KV cache of one completion")
    if gpu.memory_gib is None or per_completion is None:
        return None
    room = gpu.memory_gib * GIB * (plan.recipe.get("vllm_gpu_memory_utilization") or VLLM_SHARE) - generator["weights"]
    return max(0, int(room // per_completion))


def memory_findings(plan: Plan, model: Model, gpu: Gpu, memory: Memory) -> list[Finding]:
    return [
        *_of_shape(plan, model.shape),
        *_of_loading(plan, model, gpu),
        *_of_learners(plan, gpu, memory),
        *_of_generators(plan, gpu, memory),
    ]


def _of_shape(plan: Plan, shape: ModelShape | None) -> Iterator[Finding]:
    if shape is None:
        return
    gpus, completion = plan.spec.generators.gpus, plan.value("max_completion_length")
    if shape.heads % gpus:
        yield error(
            "spec.generators.gpus",
            f"spec.generators.gpus is {gpus}, which does not divide the model's {shape.heads} attention heads; change it.",
        )
    if completion is not None and shape.longest is not None and completion >= shape.longest:
        yield error(
            "spec.recipe.max_completion_length",
            f"spec.recipe.max_completion_length is {completion}, which leaves no room for a prompt in the {shape.longest} "
            "tokens of the model; lower it.",
        )


def _of_loading(plan: Plan, model: Model, gpu: Gpu) -> Iterator[Finding]:
    """A quantised model is split over the learners when training begins, and not while it is loaded."""
    whole = base_bytes(plan, model) + scale_bytes(plan, model)
    if gpu.memory_gib is not None and in_4_bit(plan, model) and whole > gpu.memory_gib * GIB:
        yield note(
            "spec.recipe.load_in_4bit",
            f"spec.recipe.load_in_4bit: each learner's GPU holds the whole model while it is loaded, about {in_words(int(whole))}, "
            f"and has {gpu.memory_gib:g} GiB; take larger GPUs, or more of them and no load_in_4bit.",
        )


def fixed_bytes(plan: Plan, memory: Memory) -> int:
    """On a learner's GPU. An optimizer that is only counted as Adam may need less."""
    certain = (name for name in FIXED if name != "optimizer" or plan.value("optim") in OPTIMIZERS)
    return sum(memory.learner_bytes.get(name, 0) for name in certain)


def _of_learners(plan: Plan, gpu: Gpu, memory: Memory) -> Iterator[Finding]:
    if gpu.memory_gib is None:
        return
    if (fixed := fixed_bytes(plan, memory)) > gpu.memory_gib * GIB:
        yield error(
            "spec.learners",
            f"spec.learners: weights, gradients and optimizer states alone take about {in_words(fixed)} of a GPU, which has "
            f"{gpu.memory_gib:g} GiB; raise gpus or replicas, over which they are split, or train a smaller model"
            f"{'' if plan.value('use_peft') else ' or an adapter (use_peft)'}.",
        )
    elif memory.learner_total > gpu.memory_gib * GIB:
        yield note(
            "spec.learners",
            f"spec.learners: a GPU needs about {in_words(memory.learner_total)} and has {gpu.memory_gib:g} GiB; add GPUs, or lower "
            "per_device_train_batch_size and raise gradient_accumulation_steps.",
        )


def _of_generators(plan: Plan, gpu: Gpu, memory: Memory) -> Iterator[Finding]:
    if gpu.memory_gib is None:
        return
    if (weights := memory.generator_bytes["weights"]) > gpu.memory_gib * GIB:
        yield error(
            "spec.generators.gpus",
            f"spec.generators.gpus is {plan.spec.generators.gpus}, so that the weights alone take about {in_words(weights)} of a "
            f"GPU, which has {gpu.memory_gib:g} GiB; raise it, or train a smaller model.",
        )
    elif memory.completions_that_fit == 0:
        yield note(
            "spec.generators.gpus",
            f"spec.generators.gpus: a GPU of {gpu.memory_gib:g} GiB has no room for the weights and one completion of full "
            "length; raise it.",
        )


def in_words(size: int) -> str:
    return f"{size / GIB:.1f} GiB" if size >= GIB / 10 else f"{size / MIB:.1f} MiB"
