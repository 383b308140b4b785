"""The settings file that the chart writes is the one that the operator reads."""

import json

from chart.rendered import Render, only
from grpo_operator.settings import SETTINGS_FILE, Settings
from harness.installation import OPERATOR_NAMESPACE

MONITORING = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}


def settings_of(render: Render, *values: str) -> Settings:
    content = only(render(*values), "ConfigMap")["data"][SETTINGS_FILE.name]
    return Settings.model_validate_json(content)


def test_defaults(render: Render) -> None:
    settings = settings_of(render)
    assert settings.learner.image == settings.generator.image == "grpo-trainer:0.1.0"
    assert settings.learner.cpu_image == settings.generator.cpu_image == "grpo-trainer-cpu:0.1.0"
    assert settings.learner.pod_template == settings.generator.pod_template == {}
    assert settings.image_pull_policy == "IfNotPresent"
    assert settings.metrics_from == [MONITORING]
    assert settings.watch_namespaces == []
    assert (settings.progress_interval_s, settings.full_pass_s) == (10, 600)


def test_every_setting_is_written(render: Render) -> None:
    content = json.loads(only(render(), "ConfigMap")["data"][SETTINGS_FILE.name])
    names = {field.alias or name for name, field in Settings.model_fields.items()}
    assert set(content) == names


def test_one_registry_for_all(render: Render) -> None:
    settings = settings_of(render, "imageRegistry=registry.example.com/ml")
    assert settings.learner.image == "registry.example.com/ml/grpo-trainer:0.1.0"
    assert settings.generator.cpu_image == "registry.example.com/ml/grpo-trainer-cpu:0.1.0"


def test_generators_take_the_image_of_learners_unless_they_have_their_own(render: Render) -> None:
    settings = settings_of(render, "trainer.image=a:1", "trainer.cpuImage=b:1")
    assert (settings.generator.image, settings.generator.cpu_image) == ("a:1", "b:1")
    settings = settings_of(render, "trainer.image=a:1", "generator.image=c:1")
    assert (settings.learner.image, settings.generator.image) == ("a:1", "c:1")
    assert settings.generator.cpu_image == "grpo-trainer-cpu:0.1.0"


def test_pod_defaults(render: Render) -> None:
    settings = settings_of(
        render,
        "podDefaults.learner.spec.runtimeClassName=nvidia",
        "podDefaults.generator.metadata.annotations.team=ml",
    )
    assert settings.learner.pod_template == {"spec": {"runtimeClassName": "nvidia"}}
    assert settings.generator.pod_template == {"metadata": {"annotations": {"team": "ml"}}}


def test_benchmarks(render: Render) -> None:
    benchmarks = settings_of(render).benchmarks
    assert (benchmarks.image, benchmarks.gpus, benchmarks.timeout_s, benchmarks.pod_template) == ("", 1, 86400, {})
    assert [task.name for task in benchmarks.tasks] == ["aime24", "aime25", "gpqa", "lcb", "lcb_v4", "math_500"], (
        "Open-R1's"
    )
    benchmarks = settings_of(
        render,
        "benchmarks.image=eval:1",
        "benchmarks.command={run,$(GRPO_MODEL)}",
        "benchmarks.gpus=0",
        "benchmarks.tasks[0].name=a",
        "benchmarks.tasks[0].task=a|0",
        "benchmarks.timeoutSeconds=600",
        "podDefaults.benchmark.spec.runtimeClassName=nvidia",
    ).benchmarks
    assert (benchmarks.image, benchmarks.command) == ("eval:1", ("run", "$(GRPO_MODEL)"))
    assert [(task.name, task.task) for task in benchmarks.tasks] == [("a", "a|0")]
    assert (benchmarks.gpus, benchmarks.timeout_s) == (0, 600)
    assert benchmarks.pod_template == {"spec": {"runtimeClassName": "nvidia"}}


def test_numbers_and_namespaces(render: Render) -> None:
    settings = settings_of(render, "watchNamespaces={a,b}", "progressIntervalSeconds=3", "image.pullPolicy=Never")
    assert settings.watch_namespaces == ["a", "b"]
    assert settings.progress_interval_s == 3
    assert settings.image_pull_policy == "Never"


def test_the_operator_knows_its_own_pods(render: Render) -> None:
    """NetworkPolicies of runs admit pods with these labels in this namespace."""
    settings = settings_of(render)
    deployment = only(render(), "Deployment")
    assert settings.operator_namespace == deployment["metadata"]["namespace"] == OPERATOR_NAMESPACE
    assert settings.operator_labels.items() <= deployment["spec"]["template"]["metadata"]["labels"].items()
    assert settings.operator_labels == deployment["spec"]["selector"]["matchLabels"]


def test_each_release_of_a_namespace_has_a_lease_of_its_own(render: Render) -> None:
    assert settings_of(render).lease_name == only(render(), "Deployment")["metadata"]["name"]
    config = only(render("fullnameOverride=second"), "ConfigMap", "second")
    assert json.loads(config["data"][SETTINGS_FILE.name])["leaseName"] == "second"


def test_the_file_lies_where_the_operator_looks(render: Render) -> None:
    template = only(render(), "Deployment")["spec"]["template"]["spec"]
    [mount] = [mount for mount in template["containers"][0]["volumeMounts"] if mount["name"] == "settings"]
    assert mount["mountPath"] == str(SETTINGS_FILE.parent)
