"""Parameters of a LoRA adapter: for each weight of n x m that it changes, r x (n + m)."""

from grpo_cli.model_shape import ModelShape
from grpo_cli.plan import Plan

PEFTS_OWN = ("q_proj", "v_proj")
"""peft's default for decoders of Llama's kind."""


def adapter_parameters(plan: Plan, shape: ModelShape) -> int:
    return int(plan.value("lora_r") * shape.layers * sum(sides_of(plan, shape).values()))


def sides_of(plan: Plan, shape: ModelShape) -> dict[str, int]:
    """{module: n + m} of a layer; all of them, an upper bound, where lora_target_modules is a pattern or all-linear."""
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    sides = {
        "q_proj": shape.hidden + queries,
        "k_proj": shape.hidden + keys,
        "v_proj": shape.hidden + keys,
        "o_proj": queries + shape.hidden,
        "gate_proj": shape.hidden + shape.intermediate,
        "up_proj": shape.hidden + shape.intermediate,
        "down_proj": shape.intermediate + shape.hidden,
    }
    targets = plan.value("lora_target_modules") or PEFTS_OWN
    named = list(targets) if isinstance(targets, list | tuple) else [str(targets)]  # the schema takes anything
    known = {name: size for name, size in sides.items() if name in named}
    return known if len(known) == len(set(named)) else sides
