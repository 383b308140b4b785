"""Names, labels and DNS names of a run's children, each in one place.

A run's name has at most 40 characters, so that all of these are DNS labels (63).
"""

from typing import Final

from grpo_contract.benchmarks import step_of
from grpo_contract.labels import ROLE_LABEL, RUN_LABEL, Role

APPLICATION: Final = "grpo-run"
MANAGER: Final = "grpo-operator"


def config_map(run_name: str) -> str:
    return f"{run_name}-config"


def token_secret(run_name: str) -> str:
    return f"{run_name}-token"


def claim(run_name: str) -> str:
    return f"{run_name}-volume"


def learner_job(run_name: str, attempt: int) -> str:
    return f"{run_name}-learner-{attempt}"


def learner_service(run_name: str) -> str:
    return f"{run_name}-learner"


def learner_network_policy(run_name: str) -> str:
    return f"{run_name}-learner"


def benchmark_job(run_name: str, target: str) -> str:
    """By the checkpoint's step: its target's name is too long."""
    step = step_of(target)
    return f"{run_name}-benchmark-{target if step is None else step}"


def generator_deployment(run_name: str) -> str:
    return f"{run_name}-generator"


def generator_service(run_name: str) -> str:
    return f"{run_name}-generator"


def generator_network_policy(run_name: str) -> str:
    return f"{run_name}-generator"


def rendezvous_host(run_name: str, namespace: str) -> str:
    """One address: learner 0 of the current attempt."""
    return f"{learner_service(run_name)}.{namespace}.svc"


def generators_host(run_name: str, namespace: str) -> str:
    """One address per generator, ready or not."""
    return f"{generator_service(run_name)}.{namespace}.svc"


def labels_of(run_name: str, role: Role | None = None) -> dict[str, str]:
    """`role` is None for what both roles share."""
    common = {
        RUN_LABEL: run_name,
        "app.kubernetes.io/name": APPLICATION,
        "app.kubernetes.io/instance": run_name,
        "app.kubernetes.io/managed-by": MANAGER,
    }
    if role is None:
        return common
    return common | {ROLE_LABEL: role.value, "app.kubernetes.io/component": role.value}
