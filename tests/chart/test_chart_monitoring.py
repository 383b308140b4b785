"""What Prometheus and Grafana are told fits what the pods of a run are and what the dashboard asks for."""

import json

import pytest
import yaml

from chart.rendered import Render, only
from codegen.dashboard_queries import queries_of
from grpo_contract.labels import ROLE_LABEL, RUN_LABEL
from grpo_contract.network import GENERATOR_PORT_NAME, LEARNER_HTTP_PORT_NAME, METRICS_PATH
from harness.installation import RELEASE
from harness.layout import CHART


def test_pod_monitor_scrapes_both_roles(render: Render) -> None:
    monitor = only(render("podMonitor.enabled=true"), "PodMonitor", f"{RELEASE}-runs")["spec"]
    assert monitor["selector"] == {"matchExpressions": [{"key": RUN_LABEL, "operator": "Exists"}]}
    endpoints = monitor["podMetricsEndpoints"]
    assert [endpoint["port"] for endpoint in endpoints] == [LEARNER_HTTP_PORT_NAME, GENERATOR_PORT_NAME]
    assert {endpoint["path"] for endpoint in endpoints} == {METRICS_PATH}


def test_pod_monitor_gives_the_labels_that_the_dashboard_selects_by(render: Render) -> None:
    monitor = only(render("podMonitor.enabled=true"), "PodMonitor", f"{RELEASE}-runs")["spec"]
    wanted = {"run": RUN_LABEL, "role": ROLE_LABEL}
    for endpoint in monitor["podMetricsEndpoints"]:
        given = {relabeling["targetLabel"]: relabeling["sourceLabels"] for relabeling in endpoint["relabelings"]}
        assert given == {target: [_discovered(label)] for target, label in wanted.items()}


def test_service_monitor_finds_the_service(render: Render) -> None:
    manifests = render("serviceMonitor.enabled=true")
    monitor, service = only(manifests, "ServiceMonitor"), only(manifests, "Service", f"{RELEASE}-metrics")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["spec"]["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]
    pod = only(manifests, "Deployment")["spec"]["template"]
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    assert service["spec"]["ports"][0]["targetPort"] in {port["name"] for port in pod["spec"]["containers"][0]["ports"]}


SCRAPE = {"prometheus.io/scrape": "true", "prometheus.io/port": "8080"}


@pytest.mark.parametrize(
    ("switches", "is_runs", "is_operators"),
    [
        ([], True, True),
        (["podMonitor.enabled=true"], False, True),
        (["serviceMonitor.enabled=true"], True, False),
        (["podMonitor.enabled=true", "serviceMonitor.enabled=true"], False, False),
    ],
)
def test_nothing_is_scraped_twice(switches: list[str], is_runs: bool, is_operators: bool, render: Render) -> None:
    """Where a Prometheus goes by annotations as well."""
    manifests = render(*switches)
    settings = json.loads(only(manifests, "ConfigMap")["data"]["settings.json"])
    assert settings["scrapeAnnotations"] is is_runs
    annotations = only(manifests, "Deployment")["spec"]["template"]["metadata"]["annotations"]
    assert (annotations.items() >= SCRAPE.items(), bool(annotations.keys() & SCRAPE.keys())) == (is_operators,) * 2


def test_alerts_arrive_unchanged(render: Render) -> None:
    """Prometheus' `{{...}}` and Helm's look alike."""
    shipped = only(render("prometheusRule.enabled=true"), "PrometheusRule")["spec"]
    assert shipped == yaml.safe_load((CHART / "alerts" / "grpo.yaml").read_text())


def test_dashboard_arrives_unchanged(render: Render) -> None:
    """Grafana's `{{...}}` in legends and Helm's in templates look alike."""
    shipped = only(render(), "ConfigMap", f"{RELEASE}-dashboards")
    assert shipped["metadata"]["labels"]["grafana_dashboard"] == "1"
    dashboard = json.loads(shipped["data"]["grpo-run.json"])
    assert dashboard == json.loads((CHART / "dashboards" / "grpo-run.json").read_text())
    assert len(list(queries_of(dashboard))) > 40


def _discovered(label: str) -> str:
    """The name under which Prometheus' discovery of pods offers a label."""
    return f"__meta_kubernetes_pod_label_{label.replace('.', '_').replace('/', '_')}"
