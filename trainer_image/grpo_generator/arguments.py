"""vLLM's command line for a run; a pure function.

What the recipe leaves out is left to vLLM, whose defaults suit a server that has its device to itself. (TRL's default
`vllm_gpu_memory_utilization` 0.3 is meant for a device shared with the learner.)
"""

import json
import zlib
from typing import Final

from grpo_contract.config import RunConfig
from grpo_contract.network import GENERATOR_PORT, SERVED_MODEL_NAME
from grpo_contract.recipe.precision import precision_of
from grpo_generator.plugin import WEIGHT_BACKEND

MIDDLEWARE: Final = "grpo_generator.middleware.GeneratorMiddleware"
FLAGS_BY_KEY: Final = {
    "model_revision": "--revision",
    "vllm_gpu_memory_utilization": "--gpu-memory-utilization",
    "vllm_model_impl": "--model-impl",
}


def build_arguments(config: RunConfig, pod_name: str, host: str) -> list[str]:
    recipe = config.recipe
    arguments = {
        "--model": recipe["model_name_or_path"],
        "--served-model-name": SERVED_MODEL_NAME,
        "--host": host,
        "--port": GENERATOR_PORT,
        "--middleware": MIDDLEWARE,
        "--weight-transfer-config": json.dumps({"backend": WEIGHT_BACKEND}),
        "--tensor-parallel-size": config.generators.tensor_parallel_size,
        "--dtype": precision_of(config.recipe, config.generators.device),  # as the learners: one policy
        # Tokens of prompt and completion; "auto" is what the model can do and the memory holds.
        "--max-model-len": recipe.get("vllm_max_model_length") or "auto",
        # TRL compares with log-probabilities at the sampling temperature.
        "--logprobs-mode": "processed_logprobs",
        "--max-logprobs": -1,
        # Learners give each prompt a seed. Without one, no two generators of a run are to draw the same random numbers.
        "--seed": zlib.crc32(f"{config.uid}/{pod_name}".encode()),
        "--uvicorn-log-level": "warning",
    }
    arguments |= {flag: recipe[key] for key, flag in FLAGS_BY_KEY.items() if recipe.get(key) is not None}
    if config.generators.device == "cpu":
        # A share of the node's memory; VLLM_CPU_KVCACHE_SPACE bounds it instead.
        arguments.pop("--gpu-memory-utilization", None)
    return [f"{flag}={value}" for flag, value in arguments.items()] + _switches(config)


def _switches(config: RunConfig) -> list[str]:
    switches = ["--trust-remote-code"] if config.recipe.get("trust_remote_code") else []
    if config.generators.device == "cpu":
        # A seeded request whose prefill is chunked kills vLLM's CPU engine.
        switches += ["--enforce-eager", "--no-enable-chunked-prefill"]
    return switches
