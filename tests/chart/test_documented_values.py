"""Every installation, every --set and every values file that the documents show works, and does something."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from chart.rendered import Run
from harness.documents import DOCUMENTS, commands, mappings
from harness.installation import OPERATOR_NAMESPACE, RELEASE
from harness.kubectl import Manifest
from harness.layout import CHART

VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
INSTALLATIONS = [
    command[2:]
    for text in DOCUMENTS.values()
    for command in commands(text)
    if command[:2] in (["helm", "install"], ["helm", "upgrade"])
]
ONLY_FOR_UPGRADES = {"--reset-then-reuse-values"}
SET = re.compile(r"--set[ =]([\w.]+=[^\s`]+)")
TEXTS = {**DOCUMENTS, "NOTES.txt": (CHART / "templates" / "NOTES.txt").read_text()}
SETTINGS = sorted({setting for text in TEXTS.values() for setting in SET.findall(text)})
FILES = [found for text in DOCUMENTS.values() for found in mappings(text) if found.keys() <= VALUES.keys()]


def output(done: "subprocess.CompletedProcess[str]") -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def by_default(helm: Run) -> str:
    return output(helm("template", RELEASE, CHART, f"--namespace={OPERATOR_NAMESPACE}"))


def test_the_documents_show_some_of_each() -> None:
    assert len(INSTALLATIONS) >= 3
    assert {"imageRegistry=REGISTRY", "podMonitor.enabled=true"} <= set(SETTINGS)
    assert len(FILES) >= 3


@pytest.mark.parametrize("arguments", INSTALLATIONS, ids=" ".join)
def test_an_installation_works(helm: Run, arguments: list[str]) -> None:
    here = [CHART if word == "charts/grpo-operator" else word for word in arguments if word not in ONLY_FOR_UPGRADES]
    assert CHART in here
    assert "kind: Deployment" in output(helm("template", *here))


def switched_on(setting: str) -> list[str]:
    """The switch of what the setting belongs to: labels of a PodMonitor do nothing while there is none."""
    switch = f"{setting.partition('.')[0]}.enabled=true"
    return [f"--set={switch}"] if switch in SETTINGS and switch != setting else []


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_setting_works(helm: Run, setting: str) -> None:
    without = ["template", RELEASE, CHART, f"--namespace={OPERATOR_NAMESPACE}", *switched_on(setting)]
    assert output(helm(*without, f"--set={setting}")) != output(helm(*without))


@pytest.mark.parametrize("values", FILES, ids=lambda values: ",".join(values))
def test_a_values_file_works(helm: Run, by_default: str, values: Manifest, tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    assert (
        output(helm("template", RELEASE, CHART, f"--namespace={OPERATOR_NAMESPACE}", f"--values={file}")) != by_default
    )


def test_the_images_of_the_readme_are_those_that_are_asked_for(helm: Run) -> None:
    (loop,) = re.findall(r"for target in (.*); do\n +docker build --target \$target -t (\S+)", DOCUMENTS["README.md"])
    pushed = {loop[1].replace("$target", target) for target in loop[0].split()}
    rendered = output(helm("template", RELEASE, CHART, "--set=imageRegistry=REGISTRY"))
    asked_for = set(re.findall(r"REGISTRY/[\w.:-]+", rendered))
    assert asked_for == pushed | {"REGISTRY/grpo-trainer-cpu:0.1.0"}
