"""What tests of the chart share: how it is rendered, and finding objects in that."""

import subprocess
from collections.abc import Callable

from harness.installation import RELEASE
from harness.kubectl import Manifest

Run = Callable[..., subprocess.CompletedProcess[str]]
Render = Callable[..., list[Manifest]]


def of_kind(manifests: list[Manifest], kind: str) -> list[Manifest]:
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def only(manifests: list[Manifest], kind: str, name: str = RELEASE) -> Manifest:
    [found] = [manifest for manifest in of_kind(manifests, kind) if manifest["metadata"]["name"] == name]
    return found
