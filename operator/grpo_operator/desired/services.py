"""Headless Services: DNS names under which the pods of a run find each other, before they are ready."""

from grpo_contract import network
from grpo_contract.labels import ATTEMPT_LABEL, JOB_INDEX_LABEL, Role
from grpo_operator.api.run import GRPORun
from grpo_operator.desired import names
from grpo_operator.desired.manifest import Manifest, build_metadata, selector_of


def build_learner_service(run: GRPORun, attempt: int) -> Manifest:
    """Points at learner 0 of this attempt alone, so that no learner can join what is left of an earlier attempt."""
    name = run.metadata.name
    ports = {
        network.RENDEZVOUS_PORT_NAME: network.RENDEZVOUS_PORT,
        network.LEARNER_HTTP_PORT_NAME: network.LEARNER_HTTP_PORT,
        network.WEIGHTS_PORT_NAME: network.WEIGHTS_PORT,
    }
    selector = selector_of(run, Role.LEARNER) | {ATTEMPT_LABEL: str(attempt), JOB_INDEX_LABEL: "0"}
    return _headless(run, names.learner_service(name), Role.LEARNER, selector, ports)


def build_generator_service(run: GRPORun) -> Manifest:
    """Learners look up its addresses and judge each generator by themselves."""
    name = run.metadata.name
    ports = {network.GENERATOR_PORT_NAME: network.GENERATOR_PORT}
    selector = selector_of(run, Role.GENERATOR)
    return _headless(run, names.generator_service(name), Role.GENERATOR, selector, ports)


def _headless(run: GRPORun, name: str, role: Role, selector: dict[str, str], ports: dict[str, int]) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": build_metadata(run, name, role),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": selector,
            "ports": [{"name": port_name, "port": port, "targetPort": port} for port_name, port in ports.items()],
        },
    }
