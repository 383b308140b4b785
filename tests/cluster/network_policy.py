"""Enforces NetworkPolicies with nftables in each node's network namespace; `up` runs it as a daemon.

A test aid: it asks the API server again and again, so that a policy or a new pod takes effect within about half a
second; until then a new pod is open. What the rules are is decided in network_policy_rules.
"""

from cluster import cgroups
from cluster.api import ApiServer
from cluster.network_policy_rules import has_own_address, ruleset
from cluster.polling import repeat
from cluster.processes import enter, run

POLL_S = 0.5


def main() -> None:
    enforcer = Enforcer(ApiServer("grpo-network-policy"))
    repeat(enforcer.enforce, POLL_S)


class Enforcer:
    def __init__(self, api: ApiServer) -> None:
        self._api = api
        self._applied: dict[str, str] = {}  # node -> its rules, so that only a change costs a process

    def enforce(self) -> None:
        policies = self._api.list("/apis/networking.k8s.io/v1/networkpolicies")
        pods, namespaces = [], {}
        if policies:
            pods = [pod for pod in self._api.list("/api/v1/pods") if has_own_address(pod)]
            metadata = [namespace["metadata"] for namespace in self._api.list("/api/v1/namespaces")]
            namespaces = {entry["name"]: entry.get("labels", {}) for entry in metadata}
        for node in cgroups.running_nodes():
            local = [pod for pod in pods if pod["spec"].get("nodeName") == node]
            rules = ruleset(local, pods, namespaces, policies)
            if self._applied.get(node) != rules:
                run(*enter(node), "nft", "-f", "-", text=rules)
                self._applied[node] = rules


if __name__ == "__main__":
    main()
