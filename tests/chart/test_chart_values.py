"""values.schema.json: each bad value is refused in one sentence, before anything reaches a cluster."""

import pytest

from chart.rendered import Render, Run, only
from harness.installation import RELEASE
from harness.layout import CHART

REFUSED = [
    ("colour=red", "at '': additional properties 'colour' not allowed"),
    ("image.name=x", "at '/image': additional properties 'name' not allowed"),
    ("image.pullPolicy=Sometimes", "at '/image/pullPolicy': value must be one of 'Always', 'IfNotPresent', 'Never'"),
    ("image.repository=", "at '/image/repository': minLength: got 0, want 1"),
    ("imagePullSecrets={registry}", "at '/imagePullSecrets/0': got string, want object"),
    ("imageRegistry=https://r", "at '/imageRegistry': 'https://r' does not match pattern"),
    ("trainer.image=a b", "at '/trainer/image': 'a b' does not match pattern"),
    ("generator.gpuImage=x", "at '/generator': additional properties 'gpuImage' not allowed"),
    ("podDefaults.learner.containers=x", "at '/podDefaults/learner': additional properties 'containers' not allowed"),
    ("podDefaults.trainer.spec.x=1", "at '/podDefaults': additional properties 'trainer' not allowed"),
    ("metricsFrom[0].namespace=x", "at '/metricsFrom/0': additional properties 'namespace' not allowed"),
    ("watchNamespaces=a", "at '/watchNamespaces': got string, want array"),
    ("watchNamespaces={A_b}", "at '/watchNamespaces/0': 'A_b' does not match pattern"),
    ("watchNamespaces={a,a}", "at '/watchNamespaces': items at 0 and 1 are equal"),
    ("userRoles.enabled=maybe", "at '/userRoles/enabled': got string, want boolean"),
    ("userRoles.view=true", "at '/userRoles': additional properties 'view' not allowed"),
    ("progressIntervalSeconds=0", "at '/progressIntervalSeconds': exclusiveMinimum: got 0, want 0"),
    ("fullPassSeconds=-1", "at '/fullPassSeconds': exclusiveMinimum: got -1, want 0"),
    ("replicas=0", "at '/replicas': minimum: got 0, want 1"),
    ("replicas=two", "at '/replicas': got string, want integer"),
    ("resources.cpu=1", "at '/resources': additional properties 'cpu' not allowed"),
    ("nodeSelector.gpu=1", "at '/nodeSelector/gpu': got number, want string"),
    ("serviceMonitor.interval=fast", "at '/serviceMonitor/interval': 'fast' does not match pattern"),
    ("podMonitor.enabled=maybe", "at '/podMonitor/enabled': got string, want boolean"),
    ("prometheusRule.runbookUrl=docs", "at '/prometheusRule/runbookUrl': 'docs' does not match pattern"),
    ("prometheusRule.alerts=x", "at '/prometheusRule': additional properties 'alerts' not allowed"),
    ("networkPolicy=true", "at '/networkPolicy': got boolean, want object"),
    ("dashboards.labels.x=1", "at '/dashboards/labels/x': got number, want string"),
]


@pytest.mark.parametrize(("setting", "sentence"), REFUSED, ids=[setting for setting, _ in REFUSED])
def test_refused(helm: Run, setting: str, sentence: str) -> None:
    done = helm("template", RELEASE, CHART, f"--set={setting}")
    assert done.returncode == 1
    sentences = [line.removeprefix("- ") for line in done.stderr.splitlines() if line.startswith("- ")]
    assert len(sentences) == 1, done.stderr
    assert sentences[0].startswith(sentence)


def test_as_part_of_another_chart(render: Render) -> None:
    """Helm then adds `global` to the values."""
    assert only(render("global.imagePullSecrets={}"), "Deployment")["spec"]["replicas"] == 1
