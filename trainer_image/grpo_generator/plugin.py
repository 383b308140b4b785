"""Entry point of the group `vllm.general_plugins`: vLLM calls it in each of its processes, more than once in some."""

from typing import Final

WEIGHT_BACKEND: Final = "grpo_pull"


def register() -> None:
    from vllm.distributed.weight_transfer import WeightTransferEngineFactory

    if WEIGHT_BACKEND not in WeightTransferEngineFactory._registry:
        WeightTransferEngineFactory.register_engine(WEIGHT_BACKEND, "grpo_generator.engine", "MirrorEngine")
