"""The nftables rules that the local cluster enforces NetworkPolicies with: a policy in, the rules out."""

from typing import Any

import pytest

from cluster.network_policy_rules import has_own_address, ruleset

Manifest = dict[str, Any]

NAMESPACES = {"runs": {"team": "a"}, "monitoring": {"kubernetes.io/metadata.name": "monitoring"}}


def pod(name: str, address: str, labels: dict[str, str], namespace: str = "runs", **ports: int) -> Manifest:
    declared = [{"name": port, "containerPort": number} for port, number in ports.items()]
    return {
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"nodeName": "node1", "containers": [{"name": "main", "ports": declared}]},
        "status": {"podIP": address, "phase": "Running"},
    }


LEARNER = pod("learner", "10.244.1.5", {"role": "learner"}, metrics=9400)
GENERATOR = pod("generator", "10.244.2.6", {"role": "generator"}, api=8000)
SCRAPER = pod("prometheus", "10.244.2.2", {"app": "prometheus"}, namespace="monitoring")
STRANGER = pod("stranger", "10.244.1.9", {}, namespace="monitoring")
PODS = [LEARNER, GENERATOR, SCRAPER, STRANGER]


def policy(spec: Manifest, namespace: str = "runs") -> Manifest:
    return {"metadata": {"name": "policy", "namespace": namespace}, "spec": spec}


def selecting_learner(**spec: Any) -> Manifest:
    return policy({"podSelector": {"matchLabels": {"role": "learner"}}, **spec})


def table(*chains: str) -> str:
    return (
        "table inet network_policy {}\ndelete table inet network_policy\ntable inet network_policy {\n"
        + "\n".join(chains)
        + "\n}\n"
    )


def chain(name: str, *rules: str) -> str:
    return f"chain {name} {{\n" + "\n".join(rules) + "\n}"


def forward(*rules: str) -> str:
    return chain("forward", "type filter hook forward priority filter", "ct state established,related accept", *rules)


def allowed(policy: Manifest) -> list[str]:
    """The rules of the learner's ingress chain without the final drop."""
    text = ruleset([LEARNER], PODS, NAMESPACES, [policy])
    body = text.split("chain ingress_10_244_1_5 {\n")[1].split("\n}")[0].split("\n")
    assert body[-1] == "drop"
    return body[:-1]


def test_without_policies_everything_passes() -> None:
    assert ruleset([LEARNER], PODS, NAMESPACES, []) == table(forward())


def test_a_selected_pod_without_rules_receives_nothing() -> None:
    expected = table(
        chain("ingress_10_244_1_5", "drop"),
        forward("ip daddr 10.244.1.5 jump ingress_10_244_1_5"),
    )
    assert ruleset([LEARNER, STRANGER], PODS, NAMESPACES, [selecting_learner()]) == expected


def test_egress_is_filtered_by_the_sender_and_ingress_stays_open() -> None:
    to_generator = {"to": [{"podSelector": {"matchLabels": {"role": "generator"}}}], "ports": [{"port": "api"}]}
    expected = table(
        chain("egress_10_244_1_5", "ip daddr 10.244.2.6 tcp dport 8000 return", "drop"),
        forward("ip saddr 10.244.1.5 jump egress_10_244_1_5"),
    )
    only_egress = selecting_learner(policyTypes=["Egress"], egress=[to_generator])
    assert ruleset([LEARNER], PODS, NAMESPACES, [only_egress]) == expected


def test_a_policy_with_egress_rules_and_no_types_filters_both_directions() -> None:
    text = ruleset([LEARNER], PODS, NAMESPACES, [selecting_learner(egress=[{}])])
    assert text == table(
        chain("ingress_10_244_1_5", "drop"),
        chain("egress_10_244_1_5", "return", "drop"),
        forward("ip daddr 10.244.1.5 jump ingress_10_244_1_5", "ip saddr 10.244.1.5 jump egress_10_244_1_5"),
    )


def test_policies_of_other_namespaces_select_nothing() -> None:
    elsewhere = policy({"podSelector": {}}, namespace="monitoring")
    assert ruleset([LEARNER], PODS, NAMESPACES, [elsewhere]) == table(forward())


def test_two_policies_add_up() -> None:
    first = selecting_learner(ingress=[{"ports": [{"port": 1}]}])
    second = selecting_learner(ingress=[{"ports": [{"port": 2}]}])
    assert ruleset([LEARNER], PODS, NAMESPACES, [first, second]) == table(
        chain("ingress_10_244_1_5", "tcp dport 1 return", "tcp dport 2 return", "drop"),
        forward("ip daddr 10.244.1.5 jump ingress_10_244_1_5"),
    )


PEERS: dict[str, tuple[list[Manifest] | None, list[str]]] = {
    "everybody": (None, ["return"]),
    "everybody, as an empty list": ([], ["return"]),
    "pods of the policy's own namespace": (
        [{"podSelector": {}}],
        ["ip saddr 10.244.1.5 return", "ip saddr 10.244.2.6 return"],
    ),
    "a whole namespace": (
        [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
        ["ip saddr 10.244.2.2 return", "ip saddr 10.244.1.9 return"],
    ),
    "pods of a namespace": (
        [
            {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}},
                "podSelector": {"matchLabels": {"app": "prometheus"}},
            }
        ],
        ["ip saddr 10.244.2.2 return"],
    ),
    "addresses with exceptions": (
        [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16", "10.2.0.0/16"]}}],
        ["ip saddr 10.0.0.0/8 ip saddr != { 10.1.0.0/16, 10.2.0.0/16 } return"],
    ),
    "IPv6 addresses, which no pod has": ([{"ipBlock": {"cidr": "fd00::/8"}}], []),
    "nobody who is there": ([{"podSelector": {"matchLabels": {"role": "evaluator"}}}], []),
}


@pytest.mark.parametrize(("peers", "expected"), PEERS.values(), ids=PEERS)
def test_peers(peers: list[Manifest] | None, expected: list[str]) -> None:
    rule = {} if peers is None else {"from": peers}
    assert allowed(selecting_learner(ingress=[rule])) == expected


PORTS: dict[str, tuple[Manifest, list[str]]] = {
    "a number": ({"port": 9400}, ["tcp dport 9400 return"]),
    "a range": ({"port": 29500, "endPort": 29600, "protocol": "UDP"}, ["udp dport 29500-29600 return"]),
    "a name, which the receiving pod resolves": ({"port": "metrics"}, ["tcp dport 9400 return"]),
    "a name of another protocol": ({"port": "metrics", "protocol": "UDP"}, []),
    "a name that the pod does not have": ({"port": "api"}, []),
    "a protocol alone": ({"protocol": "UDP"}, ["meta l4proto udp return"]),
}


@pytest.mark.parametrize(("port", "expected"), PORTS.values(), ids=PORTS)
def test_ports(port: Manifest, expected: list[str]) -> None:
    assert allowed(selecting_learner(ingress=[{"ports": [port]}])) == expected


EXPRESSIONS: dict[str, tuple[Manifest, list[str]]] = {
    "In": ({"key": "role", "operator": "In", "values": ["generator", "judge"]}, ["ip saddr 10.244.2.6 return"]),
    "NotIn": ({"key": "role", "operator": "NotIn", "values": ["generator"]}, ["ip saddr 10.244.1.5 return"]),
    "Exists": (
        {"key": "role", "operator": "Exists"},
        ["ip saddr 10.244.1.5 return", "ip saddr 10.244.2.6 return"],
    ),
    "DoesNotExist": ({"key": "role", "operator": "DoesNotExist"}, []),
}


@pytest.mark.parametrize(("expression", "expected"), EXPRESSIONS.values(), ids=EXPRESSIONS)
def test_match_expressions(expression: Manifest, expected: list[str]) -> None:
    rule = {"from": [{"podSelector": {"matchExpressions": [expression]}}]}
    assert allowed(selecting_learner(ingress=[rule])) == expected


@pytest.mark.parametrize(
    ("spec", "status", "expected"),
    [
        ({}, {"podIP": "10.244.1.5", "phase": "Running"}, True),
        ({}, {"podIP": "10.244.1.5", "phase": "Pending"}, True),
        ({}, {"podIP": "10.244.1.5", "phase": "Succeeded"}, False),  # its address may be another pod's by now
        ({}, {"phase": "Pending"}, False),
        ({"hostNetwork": True}, {"podIP": "10.200.0.11", "phase": "Running"}, False),
    ],
)
def test_pods_with_an_address_of_their_own(spec: Manifest, status: Manifest, expected: bool) -> None:
    assert has_own_address({"spec": spec, "status": status}) is expected
