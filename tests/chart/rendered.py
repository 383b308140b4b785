"""What tests of the chart share: where it is, the release that they render, and finding objects in it."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

CHART = Path(__file__).resolve().parents[2] / "charts" / "grpo-operator"
RELEASE, NAMESPACE = "grpo-operator", "grpo-system"

Manifest = dict[str, Any]
Run = Callable[..., subprocess.CompletedProcess[str]]
Render = Callable[..., list[Manifest]]


def of_kind(manifests: list[Manifest], kind: str) -> list[Manifest]:
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def only(manifests: list[Manifest], kind: str, name: str = RELEASE) -> Manifest:
    [found] = [manifest for manifest in of_kind(manifests, kind) if manifest["metadata"]["name"] == name]
    return found
