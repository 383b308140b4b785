"""Ports, addresses, HTTP paths and headers between the pods of a run, and towards the operator and Prometheus."""

import socket
from typing import Final

LOOPBACK: Final = "127.0.0.1"
"""Where there is no pod; and what `kubectl port-forward` comes by, and no other pod."""

# Learners. Port 29500 is torch.distributed's usual rendezvous port.
RENDEZVOUS_PORT: Final = 29500
LEARNER_HTTP_PORT: Final = 9400
WEIGHTS_PORT: Final = 9401
PAGE_PORT: Final = 9402
"""Of learner 0, and of the pod that shows the page when learners are gone. Reached by `kubectl port-forward` alone."""

# Names of container and Service ports; PodMonitors refer to them.
RENDEZVOUS_PORT_NAME: Final = "rendezvous"
LEARNER_HTTP_PORT_NAME: Final = "http"
WEIGHTS_PORT_NAME: Final = "weights"
GENERATOR_PORT_NAME: Final = "api"

METRICS_PATH: Final = "/metrics"
HEALTH_PATH: Final = "/healthz"
PROGRESS_PATH: Final = "/progress"
NEWEST_GROUPS_PATH: Final = "/api/groups"
"""Of the page: whole groups of completions, as JSON."""

# Generators: vLLM's own server.
GENERATOR_PORT: Final = 8000
GENERATOR_HEALTH_PATH: Final = "/health"
GENERATOR_READY_PATH: Final = "/ready"
COMPLETIONS_PATH: Final = "/v1/completions"
WEIGHT_INFO_PATH: Final = "/weight_info"
START_UPDATE_PATH: Final = "/start_weight_update"
UPDATE_PATH: Final = "/update_weights"
FINISH_UPDATE_PATH: Final = "/finish_weight_update"
GENERATOR_OPEN_PATHS: Final = frozenset({GENERATOR_HEALTH_PATH, GENERATOR_READY_PATH, METRICS_PATH})
"""All that a generator answers without the run's token."""

GENERATOR_HEADER: Final = "x-grpo-generator"
"""On every answer of a generator: the name of its pod. Addresses are reused by the cluster, names of pods are not."""

LEAVING_HEADER: Final = "x-grpo-leaving"
"""On every answer of a generator that is asked to end: it finishes what it is writing, and takes nothing more."""

REQUEST_ID_HEADER: Final = "x-request-id"
"""On a request for completions: what vLLM is to call it."""
SEEDS: Final = "grpo_seeds"
"""In `vllm_xargs` of that request: a seed for each of its prompts."""
WEIGHTS_HEADER: Final = "x-grpo-weights"
"""On the answer to that request: the version of its weights, by vLLM's own word, when the last completion was through."""
SWAPS_HEADER: Final = "x-grpo-swaps"
"""On it too, if weights were swapped meanwhile: JSON, {place of the prompt: {generation: [[tokens that were there,
version that wrote those after them], ...]}}."""

WIDTH_HEADER: Final = "x-grpo-width"
"""On the answer to the question for the version of its weights: how many sequences vLLM writes at once."""

UNSET_WEIGHT_VERSION: Final = "default"
"""What vLLM reports as weight version from its start until a first update: the exact sign of a restart."""

SERVED_MODEL_NAME: Final = "policy"
"""What generators call the model that they serve, whatever its path."""


def every_address() -> str:
    """To listen on all addresses of the pod, of both families where the node knows IPv6."""
    return "::" if socket.has_dualstack_ipv6() else "0.0.0.0"
