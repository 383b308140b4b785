"""The version stands in several files, and is one."""

import re
import tomllib

import pytest
import yaml

from harness.layout import CHART, ROOT

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


@pytest.mark.parametrize("key", ["version", "appVersion"])
def test_of_the_chart(key: str) -> None:
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())[key] == VERSION


@pytest.mark.parametrize(
    ("file", "pattern"),
    [
        ("Dockerfile", r"ARG VERSION=(\S+)"),
        ("Dockerfile", r"-t grpo-operator:(\S+)"),
        ("README.md", r"REGISTRY/grpo-\S*?:(\S+)"),
        ("manifests/demo-data.yaml", r"image: grpo-trainer-cpu:(\S+)"),
        ("tests/unit/golden/minimal.yaml", r"image: grpo-trainer:(\S+)"),
    ],
)
def test_of_images(file: str, pattern: str) -> None:
    found = re.findall(pattern, (ROOT / file).read_text())
    assert found
    assert set(found) == {VERSION}
