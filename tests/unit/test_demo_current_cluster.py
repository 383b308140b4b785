"""The demo on somebody's cluster: which operator it finds and takes, what its own things are, and what its Jobs run."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from demo.current_cluster import Operator, build_copy, choose, current_cluster, operators_in
from demo.errors import DemoError
from demo.namespace import build_namespace, is_made_by_demo
from demo.volume import job_like_data, like_learners, on_local_cluster
from harness.installation import LOCAL_VALUES
from harness.kubectl import Manifest

IMAGE = "registry.example.com/ml/grpo-trainer-cpu:0.1.0"
SETTINGS: Manifest = {
    "learner": {"cpuImage": IMAGE, "podTemplate": {}},
    "generator": {"cpuImage": IMAGE, "podTemplate": {}},
    "imagePullPolicy": "IfNotPresent",
    "watchNamespaces": [],
}
OPERATOR = Operator("ml-ops", "operator", "grpo", SETTINGS)


def config_map(chart: str = "grpo-operator-0.2.0", **data: str) -> Manifest:
    labels = {"helm.sh/chart": chart, "app.kubernetes.io/instance": "grpo"}
    return {"metadata": {"namespace": "ml-ops", "name": "operator", "labels": labels}, "data": data}


def watching(*namespaces: str) -> Operator:
    return replace(OPERATOR, settings=SETTINGS | {"watchNamespaces": list(namespaces)})


def with_template(template: dict[str, Any]) -> Manifest:
    return SETTINGS | {"learner": {"cpuImage": IMAGE, "podTemplate": template}}


def test_an_operator_is_found_by_its_settings_whatever_its_names() -> None:
    settings = config_map(**{"settings.json": json.dumps(SETTINGS)})
    dashboards = config_map(**{"grpo-run.json": "{}"})
    other_chart = config_map("prometheus-operator-1.0", **{"settings.json": "{}"})
    assert operators_in([dashboards, other_chart, settings]) == [OPERATOR]


def test_an_operator_of_all_namespaces_is_chosen() -> None:
    assert choose([watching("lab"), OPERATOR]) == OPERATOR


def test_operators_of_some_namespaces_are_refused() -> None:
    with pytest.raises(DemoError) as refusal:
        choose([watching("lab", "math")])
    assert str(refusal.value) == (
        "No operator of this cluster looks after all namespaces (ml-ops/operator only lab, math), and a second one "
        "would get in its way: run the demo on another cluster, or empty watchNamespaces."
    )


def test_pull_secrets_are_those_of_both_roles() -> None:
    def template(*names: str) -> Manifest:
        return {"podTemplate": {"spec": {"imagePullSecrets": [{"name": name} for name in names]}}}

    settings = SETTINGS | {"learner": template("b", "a"), "generator": template("b", "c")}
    assert replace(OPERATOR, settings=settings).pull_secrets == ["a", "b", "c"]
    assert OPERATOR.pull_secrets == []


def test_a_copied_secret_keeps_its_content_only() -> None:
    metadata = {"name": "registry", "namespace": "ml-ops", "uid": "u", "ownerReferences": [{}]}
    content = {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson", "data": {"a": "b"}}
    assert build_copy(content | {"metadata": metadata}) == content | {"metadata": {"name": "registry"}}


def test_a_namespace_is_the_demos_by_its_label() -> None:
    made = build_namespace()
    assert is_made_by_demo(made)
    assert made["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert not is_made_by_demo({"metadata": {"name": "grpo-demo"}})
    assert not is_made_by_demo({"metadata": {"name": "grpo-demo", "labels": {"grpo.dev/made-by": "me"}}})


def test_programs_that_are_not_there_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "helm").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DemoError, match=r"^CLUSTER=current needs kubectl and helm on PATH; there is no kubectl\.$"):
        current_cluster()


def test_a_job_has_the_image_of_learners_on_cpu() -> None:
    job = job_like_data("demo-evaluate", ["python"])
    adapted = like_learners(SETTINGS)(job)
    (container,) = adapted["spec"]["template"]["spec"]["containers"]
    assert (container["image"], container["imagePullPolicy"]) == (IMAGE, "IfNotPresent")
    (before,) = job["spec"]["template"]["spec"]["containers"]
    assert container == before | {"image": IMAGE, "imagePullPolicy": "IfNotPresent"}


def test_a_job_has_the_operators_pod_template_of_learners_without_sidecars() -> None:
    spec = {
        "imagePullSecrets": [{"name": "registry"}],
        "tolerations": [{"key": "batch", "operator": "Exists"}],
        "containers": [
            {"name": "learner", "env": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}]},
            {"name": "logs", "image": "logs:1"},
        ],
    }
    template = {"metadata": {"annotations": {"team": "math"}}, "spec": spec}
    adapted = like_learners(with_template(template))(job_like_data("demo-evaluate", ["python"]))
    pod = adapted["spec"]["template"]
    assert pod["metadata"] == template["metadata"]
    assert pod["spec"]["imagePullSecrets"] == spec["imagePullSecrets"]
    assert pod["spec"]["tolerations"] == spec["tolerations"]
    (container,) = pod["spec"]["containers"]
    assert container["name"] == "prepare"
    assert {"name": "HTTPS_PROXY", "value": "http://proxy:3128"} in container["env"]
    assert {"name": "HOME", "value": "/scratch"} in container["env"]


def test_what_is_no_job_stays_as_it_is() -> None:
    claim = {"kind": "PersistentVolumeClaim", "metadata": {"name": "demo"}}
    assert like_learners(SETTINGS)(claim) is claim


def test_the_local_clusters_settings_give_the_local_clusters_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("demo.volume.trainer_image", lambda: IMAGE)
    job = job_like_data("demo-evaluate", ["python"])
    local = on_local_cluster(job)
    local["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"] = "IfNotPresent"
    values = yaml.safe_load(LOCAL_VALUES.read_text())
    assert like_learners(with_template(values["podDefaults"]["learner"]))(job) == local
