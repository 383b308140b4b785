"""What whoever installs the operator decides: one YAML-compatible JSON file, written by the chart, read once at start."""

from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

SETTINGS_FILE: Final = Path("/etc/grpo-operator/settings.json")


class _Settings(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class RoleDefaults(_Settings):
    """Defaults for the pods of one role; a run's own settings win."""

    image: str
    cpu_image: str
    """For pods without GPU."""
    pod_template: dict[str, Any] = {}
    """Partial pod template, merged before the run's own."""


class BenchmarkTask(_Settings):
    name: str
    """In recipes."""
    task: str
    """For the command."""


class BenchmarkSettings(_Settings):
    """How a model of a run is benchmarked. The values' comments in the chart say what each field means."""

    image: str = ""
    """Empty: runs have no benchmarks."""
    command: tuple[str, ...] = ()
    tasks: tuple[BenchmarkTask, ...] = ()
    """Empty: recipes use the command's names."""
    gpus: Annotated[int, Field(ge=0)] = 1
    timeout_s: Annotated[int, Field(gt=0)] = 86400
    """For one model, from when its pod has a node."""
    pod_template: dict[str, Any] = {}


class Settings(_Settings):
    learner: RoleDefaults
    generator: RoleDefaults
    benchmarks: BenchmarkSettings = BenchmarkSettings()
    image_pull_policy: str = "IfNotPresent"
    operator_namespace: str
    """Where the operator runs: NetworkPolicies admit its pods to the learners' /progress."""
    operator_labels: dict[str, str]
    """Labels of the operator's pods, for the same."""
    lease_name: str
    """By which one replica works at a time. Another release in the namespace has another one."""
    metrics_from: list[dict[str, Any]] = []
    """NetworkPolicy peers that may scrape the pods of a run."""
    scrape_annotations: bool = True
    """Pods of runs have prometheus.io/*: no PodMonitor tells Prometheus of them."""
    watch_namespaces: list[str] = []
    """Empty: all namespaces."""
    progress_interval_s: Annotated[float, Field(gt=0)] = 10
    """Between two looks at a running run's learner; also the least time between two status updates for progress."""
    full_pass_s: Annotated[float, Field(gt=0)] = 600
    """Between two complete comparisons of a run's children with what they should be."""

    @classmethod
    def load(cls, file: Path = SETTINGS_FILE) -> "Settings":
        return cls.model_validate_json(file.read_text())
