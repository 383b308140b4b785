"""Who may connect to the pods of a run. Only ingress: models and data come from wherever the user keeps them."""

from grpo_contract.labels import Role
from grpo_contract.network import GENERATOR_PORT, LEARNER_HTTP_PORT, WEIGHTS_PORT
from grpo_operator.api.run import GRPORun
from grpo_operator.desired import names
from grpo_operator.desired.manifest import Manifest, build_metadata
from grpo_operator.settings import Settings


def build_learner_network_policy(run: GRPORun, settings: Settings) -> Manifest:
    name = run.metadata.name
    rules: list[Manifest] = [
        {"from": [_pods(name, Role.LEARNER)]},  # all ports: torch.distributed picks its own
        {"from": [_pods(name, Role.GENERATOR)], "ports": [_tcp(WEIGHTS_PORT)]},
        {"from": _observers(settings), "ports": [_tcp(LEARNER_HTTP_PORT)]},
    ]
    return _policy(run, names.learner_network_policy(name), Role.LEARNER, rules)


def build_generator_network_policy(run: GRPORun, settings: Settings) -> Manifest:
    name = run.metadata.name
    rules: list[Manifest] = [
        {"from": [_pods(name, Role.LEARNER), *_observers(settings)], "ports": [_tcp(GENERATOR_PORT)]}
    ]
    return _policy(run, names.generator_network_policy(name), Role.GENERATOR, rules)


def _policy(run: GRPORun, name: str, role: Role, rules: list[Manifest]) -> Manifest:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": build_metadata(run, name, role),
        "spec": {
            "podSelector": {"matchLabels": names.selector_of(run.metadata.name, role)},
            "policyTypes": ["Ingress"],
            "ingress": rules,
        },
    }


def _pods(run_name: str, role: Role) -> Manifest:
    return {"podSelector": {"matchLabels": names.selector_of(run_name, role)}}


def _observers(settings: Settings) -> list[Manifest]:
    """The operator, and whoever may scrape metrics."""
    operator = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": settings.operator_namespace}},
        "podSelector": {"matchLabels": settings.operator_labels},
    }
    return [operator, *settings.metrics_from]


def _tcp(port: int) -> Manifest:
    return {"protocol": "TCP", "port": port}
