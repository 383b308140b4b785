"""NetworkPolicies as nftables rules for one node: pure functions over what the API server says.

Covers what networking.k8s.io/v1 defines for IPv4: pod, namespace and ipBlock peers, numeric, ranged and named ports,
ingress and egress. As everywhere, traffic between a pod and its own node (probes) is never filtered.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from cluster.layout import Manifest

TABLE = "table inet network_policy"
# Direction -> section of the policy, its list of peers, the peer's side of a packet, the selected pod's side.
DIRECTIONS = {"Ingress": ("ingress", "from", "saddr", "daddr"), "Egress": ("egress", "to", "daddr", "saddr")}
Labels = Mapping[str, str]


def has_own_address(pod: Manifest) -> bool:
    status = pod["status"]
    return "podIP" in status and not pod["spec"].get("hostNetwork") and status["phase"] in ("Pending", "Running")


def ruleset(
    local: Iterable[Manifest], pods: Sequence[Manifest], namespaces: Mapping[str, Labels], policies: Sequence[Manifest]
) -> str:
    """The whole table for a node that runs the pods `local`, made and replaced in one transaction.

    One chain per pod and direction that a policy selects: `return` lets a packet pass, the chain's end drops it.
    """
    forward = ["type filter hook forward priority filter", "ct state established,related accept"]
    chains = []
    for pod in local:
        address = pod["status"]["podIP"]
        for direction, (section, _, _, own_side) in DIRECTIONS.items():
            selecting = [policy for policy in policies if _selects(policy, pod, direction)]
            if selecting:
                name = f"{section}_{address.replace('.', '_')}"
                forward.append(f"ip {own_side} {address} jump {name}")
                allowed = [r for policy in selecting for r in _allowed(policy, pod, direction, pods, namespaces)]
                chains.append(_chain(name, [*allowed, "drop"]))
    body = "\n".join([*chains, _chain("forward", forward)])  # a chain must be defined before a rule jumps to it
    return f"{TABLE} {{}}\ndelete {TABLE}\n{TABLE} {{\n{body}\n}}\n"


def _chain(name: str, rules: Iterable[str]) -> str:
    return f"chain {name} {{\n" + "\n".join(rules) + "\n}"


def _selects(policy: Manifest, pod: Manifest, direction: str) -> bool:
    spec = policy["spec"]
    types = spec.get("policyTypes") or ["Ingress", *(["Egress"] if "egress" in spec else [])]
    same_namespace = policy["metadata"]["namespace"] == pod["metadata"]["namespace"]
    return direction in types and same_namespace and _fits(spec.get("podSelector", {}), _labels(pod))


def _allowed(
    policy: Manifest, pod: Manifest, direction: str, pods: Sequence[Manifest], namespaces: Mapping[str, Labels]
) -> Iterator[str]:
    section, peers_key, peer_side, _ = DIRECTIONS[direction]
    for rule in policy["spec"].get(section, []):
        for peer, peer_pod in _peers(rule.get(peers_key), policy, pods, namespaces, peer_side):
            # What counts is the port of the pod that receives, after a Service's translation.
            for port in _ports(rule.get("ports"), pod if direction == "Ingress" else peer_pod):
                yield " ".join(part for part in (peer, port, "return") if part)


def _peers(
    peers: Sequence[Manifest] | None,
    policy: Manifest,
    pods: Sequence[Manifest],
    namespaces: Mapping[str, Labels],
    side: str,
) -> Iterator[tuple[str, Manifest | None]]:
    """The nft match of each peer, with the pod behind it where there is one. No peers at all means everybody."""
    if not peers:
        yield "", None
    for peer in peers or ():
        if block := peer.get("ipBlock"):
            if ":" not in block["cidr"]:  # pods have IPv4 addresses only
                excepted = ", ".join(block.get("except", []))
                yield f"ip {side} {block['cidr']}" + (f" ip {side} != {{ {excepted} }}" if excepted else ""), None
            continue
        for pod in pods:
            if _is_peer(peer, pod, policy["metadata"]["namespace"], namespaces):
                yield f"ip {side} {pod['status']['podIP']}", pod


def _is_peer(peer: Manifest, pod: Manifest, policy_namespace: str, namespaces: Mapping[str, Labels]) -> bool:
    home = pod["metadata"]["namespace"]
    if "namespaceSelector" in peer:
        in_reach = _fits(peer["namespaceSelector"], namespaces.get(home, {}))
    else:
        in_reach = home == policy_namespace
    return in_reach and _fits(peer.get("podSelector", {}), _labels(pod))


def _ports(wanted: Sequence[Manifest] | None, destination: Manifest | None) -> Iterator[str]:
    if not wanted:
        yield ""
    for entry in wanted or ():
        protocol, port = entry.get("protocol", "TCP").lower(), entry.get("port")
        if port is None:
            yield f"meta l4proto {protocol}"
        elif isinstance(port, int):
            yield f"{protocol} dport {port}" + (f"-{entry['endPort']}" if "endPort" in entry else "")
        elif destination:
            yield from _named_ports(port, protocol, destination)


def _named_ports(name: str, protocol: str, destination: Manifest) -> Iterator[str]:
    """Each pod says which number the name has for it."""
    for container in destination["spec"]["containers"]:
        for declared in container.get("ports", []):
            if declared.get("name") == name and declared.get("protocol", "TCP").lower() == protocol:
                yield f"{protocol} dport {declared['containerPort']}"


def _labels(pod: Manifest) -> Labels:
    labels: Labels = pod["metadata"].get("labels", {})
    return labels


def _fits(selector: Manifest, labels: Labels) -> bool:
    """An empty selector fits everything."""
    wanted = selector.get("matchLabels", {}).items()
    expressions = selector.get("matchExpressions", [])
    return all(labels.get(key) == value for key, value in wanted) and all(_holds(e, labels) for e in expressions)


def _holds(expression: Manifest, labels: Labels) -> bool:
    value, values = labels.get(expression["key"]), expression.get("values", [])
    answers = {
        "In": value in values,
        "NotIn": value not in values,
        "Exists": value is not None,
        "DoesNotExist": value is None,
    }
    return answers[expression["operator"]]
