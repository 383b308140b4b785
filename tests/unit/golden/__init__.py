"""Golden manifests: all children of each sample run, and the Jobs of benchmarks, so that a reviewer sees the whole effect of a change.

`python -m unit.golden` writes them anew; tests/unit/test_desired_golden.py compares.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import yaml

from grpo_operator.api.run import GRPORun
from grpo_operator.desired.benchmarks import build_benchmark_job
from grpo_operator.desired.children import build_children
from grpo_operator.desired.manifest import Manifest
from grpo_operator.settings import BenchmarkSettings, RoleDefaults, Settings
from harness.layout import CHART, MANIFESTS

FOLDER: Final = Path(__file__).parent

UID: Final = "3f2a9c10-5b7e-4d21-9a64-0c8e7f1b2d35"
TOKEN: Final = "0123456789abcdef" * 4
SETTINGS: Final = Settings(
    learner=RoleDefaults(image="grpo-trainer:0.1.0", cpu_image="grpo-trainer-cpu:0.1.0"),
    generator=RoleDefaults(image="grpo-trainer:0.1.0", cpu_image="grpo-trainer-cpu:0.1.0"),
    operator_namespace="grpo-system",
    operator_labels={"app.kubernetes.io/name": "grpo-operator"},
    lease_name="grpo-operator",
    metrics_from=[{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
)

BENCHMARKS: Final = "benchmark-jobs.yaml"
"""No sample has benchmarks, since no cluster has an image for them by itself."""
BENCHMARKED: Final = MANIFESTS / "qwen-math-2x8.yaml"
TARGETS: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("checkpoint-100", {}),
    ("checkpoint-100", {"use_peft": True, "trust_remote_code": True}),
    ("model", {}),
)
"""What is benchmarked, and what the recipe of BENCHMARKED says beside `benchmarks`."""


def documents(file: Path) -> list[Manifest]:
    return list(yaml.safe_load_all(file.read_text()))


def sample_files() -> list[Path]:
    """The sample runs; the folder also holds what they need, such as the demo's data."""
    return [file for file in sorted(MANIFESTS.rglob("*.yaml")) if documents(file)[0]["kind"] == "GRPORun"]


def read_sample(file: Path) -> GRPORun:
    """The run as the API server would hand it out."""
    (manifest,) = documents(file)
    given = {"namespace": "default", "uid": UID, "creationTimestamp": "2026-01-01T00:00:00Z"}
    return GRPORun.parse(manifest | {"metadata": manifest["metadata"] | given})


def render(file: Path) -> str:
    children = build_children(read_sample(file), SETTINGS, attempt=1, token=TOKEN)
    head = f"# All children of manifests/{file.relative_to(MANIFESTS)}, written by `make generate`.\n"
    return head + _written(child.manifest for child in children)


def render_benchmarks() -> str:
    """Under the chart's defaults."""
    (values,) = documents(CHART / "values.yaml")
    benchmarks = BenchmarkSettings(
        image="lighteval:0.13.0",
        command=values["benchmarks"]["command"],
        tasks=values["benchmarks"]["tasks"],
        gpus=values["benchmarks"]["gpus"],
        timeout_s=values["benchmarks"]["timeoutSeconds"],
    )
    settings = SETTINGS.model_copy(update={"benchmarks": benchmarks})
    jobs = [build_benchmark_job(_benchmarked(recipe), settings, target) for target, recipe in TARGETS]
    told = ", ".join(f"{target} {recipe or ''}".strip() for target, recipe in TARGETS)
    head = f"# Jobs of manifests/{BENCHMARKED.name} with benchmarks: {told}. Written by `make generate`.\n"
    return head + _written(job.manifest for job in jobs)


def _benchmarked(recipe: dict[str, Any]) -> GRPORun:
    run = read_sample(BENCHMARKED)
    whole = run.spec.recipe | {"benchmarks": ["math_500", "aime24"]} | recipe
    return run.model_copy(update={"spec": run.spec.model_copy(update={"recipe": whole})})


def golden_files() -> dict[str, str]:
    """{name: content}"""
    return {file.name: render(file) for file in sample_files()} | {BENCHMARKS: render_benchmarks()}


def _written(manifests: Iterable[Manifest]) -> str:
    return yaml.dump_all(manifests, Dumper=_Readable, sort_keys=False, width=200)


class _Readable(yaml.SafeDumper):
    """Texts of several lines as blocks; no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Readable.add_representer(str, _represent_text)
