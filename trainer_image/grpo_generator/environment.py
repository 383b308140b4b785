"""The environment that vLLM runs in, for a run and a machine; a pure function of both."""

from collections.abc import Mapping
from typing import Final

from grpo_contract.config import RunConfig
from grpo_contract.paths import is_path

SWAP_SECONDS: Final = "GRPO_SWAP_SECONDS"
"""For the server: how long a request about weights may take."""
REQUIRED: Final = {
    "VLLM_SERVER_DEV_MODE": "1",  # the routes that change weights; the middleware puts the token in front of them
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
    "PYTHONUNBUFFERED": "1",  # the supervisor reads the log as it is written
}
DEFAULTS: Final = {
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
}
CPU_DEFAULTS: Final = {
    # Threads that are bound to, or spin on, a core that others use too starve each other.
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
    # On CPU vLLM gives its one worker a process of its own, for the sake of threads that are bound: a third of a server's
    # start, and 600 MiB. So it stays in the engine's process; the engine is not in the server's, whatever the name says.
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    # Or the first request compiles helper functions: 20 s, and a compiler that images do not have.
    "TORCH_COMPILE_DISABLE": "1",
    # GiB. Without it vLLM takes a share of the node's memory, not of the pod's.
    "VLLM_CPU_KVCACHE_SPACE": "1",
}


def build_environment(config: RunConfig, given: Mapping[str, str]) -> dict[str, str]:
    """What the pod was given wins over our defaults, not over what the server cannot work without."""
    defaults = DEFAULTS | (CPU_DEFAULTS if config.generators.device == "cpu" else {})
    if is_path(str(config.recipe["model_name_or_path"])):
        defaults |= {"HF_HUB_OFFLINE": "1"}  # or a cluster without internet waits for time-outs
    return defaults | dict(given) | REQUIRED | {SWAP_SECONDS: str(config.deadlines.weight_sync_s)}
