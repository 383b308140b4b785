"""The chart as Helm renders it. Helm and helm-unittest come with the local cluster's programs, built when missing."""

import subprocess
from pathlib import Path

import pytest
import yaml

from chart.rendered import Render, Run
from cluster.build import build
from harness.installation import OPERATOR_NAMESPACE, RELEASE
from harness.kubectl import Manifest
from harness.layout import CHART


@pytest.fixture(scope="session")
def binaries() -> Path:
    return build().binaries


@pytest.fixture(scope="session")
def helm(binaries: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run Helm as somebody who has never used it."""
    home = str(tmp_path_factory.mktemp("helm"))

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [str(binaries / "helm"), *map(str, arguments)]
        return subprocess.run(command, check=False, capture_output=True, text=True, env={"HOME": home})

    return run


@pytest.fixture(scope="session")
def render(helm: Run) -> Render:
    """The chart's objects for some values, written as for `--set`."""

    def manifests(*settings: str) -> list[Manifest]:
        flags = [f"--set={setting}" for setting in settings]
        done = helm("template", RELEASE, CHART, f"--namespace={OPERATOR_NAMESPACE}", *flags)
        assert done.returncode == 0, done.stderr
        return [document for document in yaml.safe_load_all(done.stdout) if document]

    return manifests
