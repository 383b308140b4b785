"""vLLM's command line and environment for a run."""

import json
from typing import Any

import pytest

from grpo_contract.config import CheckpointConfig, Device, GeneratorConfig, LearnerConfig, RunConfig
from grpo_generator.arguments import build_arguments
from grpo_generator.environment import build_environment


def config(recipe: dict[str, Any], device: Device = "cuda", gpus: int = 1) -> RunConfig:
    return RunConfig(
        name="run",
        uid="uid-1",
        recipe={"model_name_or_path": "Qwen/Qwen2.5-1.5B-Instruct"} | recipe,
        learners=LearnerConfig(pods=1, processes_per_pod=1, device=device, rendezvous_host="run-learner-0"),
        generators=GeneratorConfig(service="run-generator", tensor_parallel_size=gpus, device=device),
        checkpoint=CheckpointConfig(every_steps=1, keep=1),
    )


def options(run: RunConfig) -> dict[str, str]:
    """{flag: value}; a switch has no value."""
    pairs = (argument.partition("=") for argument in build_arguments(run, "pod-1", "::"))
    return {flag: value for flag, _, value in pairs}


def test_the_command_line_of_a_gpu_run() -> None:
    assert build_arguments(config({"vllm_max_model_length": 4096}, gpus=4), "pod-1", "::") == [
        "--model=Qwen/Qwen2.5-1.5B-Instruct",
        "--served-model-name=policy",
        "--host=::",
        "--port=8000",
        "--middleware=grpo_generator.middleware.GeneratorMiddleware",
        '--weight-transfer-config={"backend": "grpo_pull"}',
        "--tensor-parallel-size=4",
        "--dtype=bfloat16",
        "--max-model-len=4096",
        "--logprobs-mode=processed_logprobs",
        "--max-logprobs=-1",
        "--seed=4138721406",
        "--uvicorn-log-level=warning",
    ]


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        ({}, {"--dtype": "bfloat16", "--max-model-len": "auto"}),
        ({"fp16": True}, {"--dtype": "float16"}),
        ({"fp16": True, "bf16": None}, {"--dtype": "float16"}),
        ({"bf16": False}, {"--dtype": "float32"}),
        ({"bf16": True, "fp16": False, "dtype": "float32"}, {"--dtype": "bfloat16"}),
        ({"dtype": "float16"}, {"--dtype": "bfloat16"}),
        ({"max_completion_length": 2048}, {"--max-model-len": "auto"}),
        ({"vllm_max_model_length": 128, "max_completion_length": 8}, {"--max-model-len": "128"}),
        ({"vllm_max_model_length": None}, {"--max-model-len": "auto"}),
        ({"vllm_gpu_memory_utilization": 0.7}, {"--gpu-memory-utilization": "0.7"}),
        ({"vllm_model_impl": "transformers"}, {"--model-impl": "transformers"}),
        ({"model_revision": "v1"}, {"--revision": "v1"}),
        ({"trust_remote_code": True}, {"--trust-remote-code": ""}),
    ],
)
def test_recipe_keys_on_gpu(recipe: dict[str, Any], expected: dict[str, str]) -> None:
    found = options(config(recipe))
    assert {flag: found.get(flag) for flag in expected} == expected


@pytest.mark.parametrize(
    "flag",
    ["--gpu-memory-utilization", "--model-impl", "--revision", "--trust-remote-code", "--enforce-eager"],
)
def test_what_the_recipe_leaves_out_is_left_to_vllm(flag: str) -> None:
    assert flag not in options(config({"trust_remote_code": False, "vllm_model_impl": None}))


def test_on_cpu_prefill_is_never_chunked_and_memory_is_no_share_of_the_node() -> None:
    found = options(config({"dtype": "bfloat16", "vllm_gpu_memory_utilization": 0.3}, device="cpu"))
    assert found["--dtype"] == "float32"
    assert {"--enforce-eager", "--no-enable-chunked-prefill"} <= found.keys()
    assert "--gpu-memory-utilization" not in found


def test_generators_of_a_run_draw_different_random_numbers() -> None:
    seeds = {build_arguments(config({}), pod, "::")[-2] for pod in ("pod-1", "pod-2", "pod-3")}
    assert len(seeds) == 3
    assert all(0 <= int(seed.removeprefix("--seed=")) < 2**32 for seed in seeds)


def test_the_weight_transfer_config_is_json() -> None:
    assert json.loads(options(config({}))["--weight-transfer-config"]) == {"backend": "grpo_pull"}


@pytest.mark.parametrize(
    ("device", "given", "expected"),
    [
        ("cuda", {}, {"VLLM_SERVER_DEV_MODE": "1", "OMP_NUM_THREADS": None, "TORCH_COMPILE_DISABLE": None}),
        ("cpu", {}, {"OMP_NUM_THREADS": "1", "TORCH_COMPILE_DISABLE": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}),
        ("cpu", {"VLLM_CPU_KVCACHE_SPACE": "40"}, {"VLLM_CPU_KVCACHE_SPACE": "40"}),
        ("cpu", {"VLLM_SERVER_DEV_MODE": "0"}, {"VLLM_SERVER_DEV_MODE": "1"}),
        ("cuda", {"HOME": "/scratch"}, {"HOME": "/scratch", "HF_HUB_OFFLINE": None}),
    ],
)
def test_environment(device: Device, given: dict[str, str], expected: dict[str, str | None]) -> None:
    environment = build_environment(config({}, device=device), given)
    assert {name: environment.get(name) for name in expected} == expected


@pytest.mark.parametrize(
    ("model", "given", "expected"),
    [("/volume/base", {}, "1"), ("/volume/base", {"HF_HUB_OFFLINE": "0"}, "0"), ("org/name", {}, None)],
)
def test_a_model_on_the_volume_needs_no_hub(model: str, given: dict[str, str], expected: str | None) -> None:
    environment = build_environment(config({"model_name_or_path": model}), given)
    assert environment.get("HF_HUB_OFFLINE") == expected
