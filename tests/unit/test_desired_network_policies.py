"""Who reaches which port of a run's pods, judged by the policies as a network plugin would."""

from typing import Any

import pytest

from grpo_operator.desired.manifest import Manifest
from unit.desired_inputs import UID, children_of, make_run, make_settings

MONITORING = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
OF_RUN = {"grpo.dev/run": "math", "grpo.dev/run-uid": UID}
OTHER_RUN = {"grpo.dev/run": "other", "grpo.dev/run-uid": "other"}
OF_A_DELETED_RUN = {"grpo.dev/run": "math", "grpo.dev/run-uid": "deleted"}

# Name -> namespace and labels of a pod that tries to connect.
PEERS: dict[str, tuple[str, dict[str, str]]] = {
    "learner": ("team", OF_RUN | {"grpo.dev/role": "learner"}),
    "generator": ("team", OF_RUN | {"grpo.dev/role": "generator"}),
    "learner of another run": ("team", OTHER_RUN | {"grpo.dev/role": "learner"}),
    "learner of a deleted run of the same name": ("team", OF_A_DELETED_RUN | {"grpo.dev/role": "learner"}),
    "learner of a namesake elsewhere": ("elsewhere", OF_RUN | {"grpo.dev/role": "learner"}),
    "operator": ("grpo-system", {"app": "grpo-operator"}),
    "neighbour of the operator": ("grpo-system", {"app": "other"}),
    "impostor of the operator": ("team", {"app": "grpo-operator"}),
    "scraper": ("monitoring", {"app": "prometheus"}),
    "stranger": ("team", {}),
}
PORTS = {"learner": (29500, 9400, 9401, 40000), "generator": (8000, 9999)}
ALLOWED = {
    ("learner", "learner", 29500),
    ("learner", "learner", 9400),
    ("learner", "learner", 9401),
    ("learner", "learner", 40000),
    ("generator", "learner", 9401),
    ("operator", "learner", 9400),
    ("scraper", "learner", 9400),
    ("learner", "generator", 8000),
    ("scraper", "generator", 8000),
}


def test_who_reaches_what() -> None:
    policies = policies_of(metrics_from=[MONITORING])
    reached = {
        (peer, role, port)
        for peer in PEERS
        for role, ports in PORTS.items()
        for port in ports
        if reaches(policies[role], peer, port)
    }
    assert reached == ALLOWED


@pytest.mark.parametrize(
    ("role", "port", "peers"), [("learner", 9400, {"learner", "operator"}), ("generator", 8000, {"learner"})]
)
def test_without_scrapers_nobody_else_looks_in(role: str, port: int, peers: set[str]) -> None:
    """No peers in the settings must not mean everybody, which is what an empty `from` says."""
    policy = policies_of(metrics_from=[])[role]
    assert {peer for peer in PEERS if reaches(policy, peer, port)} == peers


def policies_of(metrics_from: list[Manifest]) -> dict[str, Manifest]:
    children = children_of(make_run(), make_settings(metrics_from))
    policies = {role: children[f"NetworkPolicy/math-{role}"]["spec"] for role in PORTS}
    for role, policy in policies.items():
        assert policy["podSelector"] == {"matchLabels": OF_RUN | {"grpo.dev/role": role}}
        assert policy["policyTypes"] == ["Ingress"]
    return policies


def reaches(policy: Manifest, peer: str, port: int) -> bool:
    return any(
        (not rule.get("from") or any(is_peer(entry, *PEERS[peer]) for entry in rule["from"]))
        and (not rule.get("ports") or {"protocol": "TCP", "port": port} in rule["ports"])
        for rule in policy["ingress"]
    )


def is_peer(entry: Manifest, namespace: str, labels: dict[str, str]) -> bool:
    home = {"kubernetes.io/metadata.name": namespace}
    near: bool = fits(entry["namespaceSelector"], home) if "namespaceSelector" in entry else namespace == "team"
    return near and fits(entry.get("podSelector", {}), labels)


def fits(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    assert selector.keys() <= {"matchLabels"}
    wanted: dict[str, str] = selector.get("matchLabels", {})
    return wanted.items() <= labels.items()
