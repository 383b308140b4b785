"""Golden manifests: all children of each sample run, so that a reviewer sees the whole effect of a change.

`python -m unit.golden` writes them anew; tests/unit/test_desired_golden.py compares.
"""

from pathlib import Path
from typing import Any, Final

import yaml

from grpo_operator.api.run import GRPORun
from grpo_operator.desired.children import build_children
from grpo_operator.desired.manifest import Manifest
from grpo_operator.settings import RoleDefaults, Settings
from harness.layout import MANIFESTS

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
    manifests = [child.manifest for child in children]
    return head + yaml.dump_all(manifests, Dumper=_Readable, sort_keys=False, width=200)


class _Readable(yaml.SafeDumper):
    """Texts of several lines as blocks; no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Readable.add_representer(str, _represent_text)
