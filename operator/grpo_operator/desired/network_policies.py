"""Who may connect to the pods of a run. Only ingress: models and data come from wherever the user keeps them."""

from grpo_contract.labels import Role
from grpo_contract.network import GENERATOR_PORT, LEARNER_HTTP_PORT, WEIGHTS_PORT
from grpo_operator.api.run import GRPORun
from grpo_operator.desired import names
from grpo_operator.desired.manifest import Manifest, build_metadata, selector_of
from grpo_operator.settings import Settings


def build_learner_network_policy(run: GRPORun, settings: Settings) -> Manifest:
    name = run.metadata.name
    rules: list[Manifest] = [
        {"from": [_pods(run, Role.LEARNER)]},  # all ports: torch.distributed picks its own
        {"from": [_pods(run, Role.GENERATOR)], "ports": [_tcp(WEIGHTS_PORT)]},
        {"from": [_operator(settings), *settings.metrics_from], "ports": [_tcp(LEARNER_HTTP_PORT)]},
    ]
    return _policy(run, names.learner_network_policy(name), Role.LEARNER, rules)


def build_generator_network_policy(run: GRPORun, settings: Settings) -> Manifest:
    name = run.metadata.name
    rules: list[Manifest] = [
        {"from": [_pods(run, Role.LEARNER), *settings.metrics_from], "ports": [_tcp(GENERATOR_PORT)]}
    ]
    return _policy(run, names.generator_network_policy(name), Role.GENERATOR, rules)


def _policy(run: GRPORun, name: str, role: Role, rules: list[Manifest]) -> Manifest:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": build_metadata(run, name, role),
        "spec": {
            "podSelector": {"matchLabels": selector_of(run, role)},
            "policyTypes": ["Ingress"],
            "ingress": rules,
        },
    }


def _pods(run: GRPORun, role: Role) -> Manifest:
    return {"podSelector": {"matchLabels": selector_of(run, role)}}


def _operator(settings: Settings) -> Manifest:
    """Reads the progress of learner 0; generators it leaves to learners."""
    return {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": settings.operator_namespace}},
        "podSelector": {"matchLabels": settings.operator_labels},
    }


def _tcp(port: int) -> Manifest:
    return {"protocol": "TCP", "port": port}
