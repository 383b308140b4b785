"""The chart's alerts on the local cluster's Prometheus: its rule file, as it is."""

from hashlib import sha256

from cluster.layout import MONITORING_NAMESPACE
from harness.installation import tool_output
from harness.kubectl import Kubectl
from harness.layout import CHART
from harness.outages import wait_through_outages
from harness.prometheus import Prometheus

RULES = CHART / "alerts" / "grpo.yaml"
TAKEN_S = 60.0
"""Within which the kubelet has brought the file, and Prometheus has read it."""


def load_alert_rules(cluster: Kubectl) -> None:
    """In the place of those that were there before."""
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "rules"}}
    cluster.within(MONITORING_NAMESPACE).apply(config_map | {"data": {_name(): RULES.read_text()}})


def prometheus_with_alerts() -> Prometheus:
    """The local cluster's, when it has taken them."""
    prometheus = Prometheus(tool_output("cluster", "prometheus-url"))

    def has_taken() -> bool:
        groups = prometheus.rule_groups()
        return bool(groups) and {group["file"] for group in groups} == {f"/rules/{_name()}"}

    wait_through_outages("the alert rules in Prometheus", has_taken, TAKEN_S)
    return prometheus


def _name() -> str:
    """Another one for other rules, by which Prometheus tells which it has."""
    return f"grpo-{sha256(RULES.read_bytes()).hexdigest()[:12]}.yaml"
