"""Runs and settings for tests of manifests, and ways to look at what was built."""

from typing import Any

from grpo_operator.api.run import GRPORun
from grpo_operator.desired.children import build_children
from grpo_operator.desired.manifest import Manifest
from grpo_operator.settings import BenchmarkSettings, RoleDefaults, Settings

UID = "11111111-2222-3333-4444-555555555555"
TOKEN = "a" * 64


def make_run(name: str = "math", /, **spec: Any) -> GRPORun:
    """A run with the least spec that there is, and the fields given on top."""
    metadata = {"name": name, "namespace": "team", "uid": UID, "creationTimestamp": "2026-01-01T00:00:00Z"}
    recipe = {"model_name_or_path": "/volume/base", "dataset_name": "/volume/data.jsonl", "reward_funcs": ["accuracy"]}
    return GRPORun.parse({"metadata": metadata, "spec": {"recipe": recipe, "storage": {"size": "5Gi"}} | spec})


def make_settings(
    metrics_from: list[Manifest] | None = None,
    benchmarks: BenchmarkSettings | None = None,
    /,
    **templates: Manifest,
) -> Settings:
    """`templates`: role -> partial pod template."""
    assert templates.keys() <= {"learner", "generator"}

    def defaults(role: str) -> RoleDefaults:
        return RoleDefaults(image=f"{role}:gpu", cpu_image=f"{role}:cpu", pod_template=templates.get(role, {}))

    return Settings(
        learner=defaults("learner"),
        generator=defaults("generator"),
        operator_namespace="grpo-system",
        operator_labels={"app": "grpo-operator"},
        lease_name="grpo-operator",
        metrics_from=metrics_from or [],
        benchmarks=benchmarks or BenchmarkSettings(),
    )


def children_of(run: GRPORun, settings: Settings | None = None, attempt: int = 1) -> dict[str, Manifest]:
    """Kind/name -> manifest."""
    children = build_children(run, settings or make_settings(), attempt, TOKEN)
    return {reference(child.manifest): child.manifest for child in children}


def reference(manifest: Manifest) -> str:
    return f"{manifest['kind']}/{manifest['metadata']['name']}"


def learner_template(run: GRPORun, settings: Settings | None = None) -> Manifest:
    job = children_of(run, settings)[f"Job/{run.metadata.name}-learner-1"]
    template: Manifest = job["spec"]["template"]
    return template


def generator_template(run: GRPORun, settings: Settings | None = None) -> Manifest:
    deployment = children_of(run, settings)[f"Deployment/{run.metadata.name}-generator"]
    template: Manifest = deployment["spec"]["template"]
    return template


def container_of(template: Manifest) -> Manifest:
    """The only container."""
    (container,) = template["spec"]["containers"]
    assert isinstance(container, dict)
    return container


def environment_of(template: Manifest) -> dict[str, Any]:
    """Name -> value, or where it comes from."""
    variables = container_of(template)["env"]
    assert len({variable["name"] for variable in variables}) == len(variables)
    return {variable["name"]: variable.get("value", variable.get("valueFrom")) for variable in variables}
