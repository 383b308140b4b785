"""Entry point of the group `vllm.general_plugins`: vLLM calls it in each of its processes, more than once in some."""

from typing import Final

WEIGHT_BACKEND: Final = "grpo_pull"


def register() -> None:
    from vllm import _custom_ops
    from vllm.distributed.weight_transfer import WeightTransferEngineFactory
    from vllm.platforms import current_platform
    from vllm.v1.engine.async_llm import AsyncLLM

    from grpo_generator.lone_rows import accompany_lone_rows
    from grpo_generator.seeds import seed_prompts

    if WEIGHT_BACKEND not in WeightTransferEngineFactory._registry:
        WeightTransferEngineFactory.register_engine(WEIGHT_BACKEND, "grpo_generator.engine", "MirrorEngine")
    seed_prompts(AsyncLLM)
    if current_platform.is_cpu():
        accompany_lone_rows(_custom_ops)
