"""Monitors and rules of the chart, judged by a real API server that has Prometheus Operator's own resource definitions."""

import json
import subprocess
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from chart.rendered import Render, of_kind
from harness.control_plane import running_control_plane
from harness.installation import OPERATOR_NAMESPACE
from harness.kubectl import Kubectl, Manifest

MODULE = "github.com/prometheus-operator/prometheus-operator@v0.92.0"
SUM = "h1:tAbsod3+9sQsxDeAvLP27dAe9terToht5M+YdDwLGP0="
FILES = "example/prometheus-operator-crd/monitoring.coreos.com_{}.yaml"
KINDS = {"PodMonitor": "podmonitors", "ServiceMonitor": "servicemonitors", "PrometheusRule": "prometheusrules"}
SWITCHES = [f"{switch}.enabled=true" for switch in ("podMonitor", "serviceMonitor", "prometheusRule")]
LABELS = [f"{switch}.labels.release=prometheus" for switch in ("podMonitor", "serviceMonitor", "prometheusRule")]


@pytest.fixture(scope="module")
def definitions() -> list[Path]:
    """Of the module as Go's checksum database knows it."""
    done = subprocess.run(["go", "mod", "download", "-json", MODULE], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["Sum"] == SUM
    return [Path(told["Dir"], FILES.format(plural)) for plural in KINDS.values()]


@pytest.fixture(scope="module")
def kubectl(definitions: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    with running_control_plane(tmp_path_factory.mktemp("control-plane")) as kubectl:
        for definition in definitions:
            kubectl("apply", "--server-side", "-f", str(definition))  # too long for the annotation of another apply
        for plural in KINDS.values():
            kubectl("wait", "--for=condition=Established", f"crd/{plural}.monitoring.coreos.com", "--timeout=60s")
        kubectl("create", "namespace", OPERATOR_NAMESPACE)
        yield kubectl.within(OPERATOR_NAMESPACE)


def judged(kubectl: Kubectl, manifest: Manifest) -> subprocess.CompletedProcess[str]:
    """Unknown fields are mistakes, too."""
    return kubectl.attempt("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=yaml.safe_dump(manifest))


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_accepted(kubectl: Kubectl, render: Render, kind: str) -> None:
    (manifest,) = of_kind(render(*SWITCHES, *LABELS), kind)
    done = judged(kubectl, manifest)
    assert done.returncode == 0, done.stderr
    assert "created (server dry run)" in done.stdout


WRONG: dict[str, Any] = {
    "PodMonitor": {"podMetricsEndpoints": [{"port": "http", "intervall": "10s"}]},
    "ServiceMonitor": {"endpoints": [{"port": "metrics", "interval": "soon"}]},
    "PrometheusRule": {"groups": [{"name": "g", "rules": [{"alert": "A", "expr": "up", "for": "a while"}]}]},
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_mistake_in_it_would_be_refused(kubectl: Kubectl, render: Render, kind: str) -> None:
    (manifest,) = of_kind(render(*SWITCHES), kind)
    wrong = deepcopy(manifest)
    wrong["spec"] |= WRONG[kind]
    done = judged(kubectl, wrong)
    assert done.returncode == 1
    assert any(word in done.stderr for word in ("intervall", "soon", "a while")), done.stderr
