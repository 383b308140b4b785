"""Helm's own checks, the chart's own tests, and what the chart says about itself."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from chart.rendered import CHART, NAMESPACE, RELEASE, Render, Run, only

PROJECT = CHART.parents[1]


def test_lint_finds_nothing(helm: Run) -> None:
    done = helm("lint", "--strict", CHART)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stdout


def test_unit_tests_of_the_chart_pass(binaries: Path) -> None:
    done = subprocess.run([binaries / "helm-unittest", CHART], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"Tests: +\d{2,} passed", done.stdout), done.stdout


def test_package_holds_no_tests(helm: Run, tmp_path: Path) -> None:
    assert helm("package", CHART, "--destination", tmp_path).returncode == 0
    listed = subprocess.run(
        ["tar", "tzf", tmp_path / f"{RELEASE}-0.1.0.tgz"], check=True, capture_output=True, text=True
    )
    names = listed.stdout.splitlines()
    assert f"{RELEASE}/crds/grporuns.yaml" in names
    assert f"{RELEASE}/dashboards/grpo-run.json" in names
    assert not [name for name in names if "/tests/" in name]


@pytest.mark.parametrize(("version", "accepted"), [("1.30.0", True), ("1.37.2", True), ("1.29.9", False)])
def test_version_of_kubernetes(helm: Run, version: str, accepted: bool) -> None:
    done = helm("template", RELEASE, CHART, f"--kube-version={version}")
    assert (done.returncode == 0) is accepted, done.stderr
    assert accepted or "chart requires kubeVersion: >=1.30.0-0" in done.stderr


def test_no_object_of_the_chart_grants_or_asks_for_privileges(render: Render) -> None:
    container = only(render(), "Deployment")["spec"]["template"]["spec"]["containers"][0]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["readOnlyRootFilesystem"] is True


def test_a_change_of_settings_starts_new_pods(render: Render) -> None:
    def digest(*settings: str) -> str:
        template = only(render(*settings), "Deployment")["spec"]["template"]
        found: str = template["metadata"]["annotations"]["grpo.dev/settings-digest"]
        return found

    assert digest() == digest()
    assert digest() == digest("replicas=2")
    assert digest() != digest("progressIntervalSeconds=11")


def test_versions_of_chart_and_project_agree() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    project = re.search(r'^version = "(.*)"', (PROJECT / "pyproject.toml").read_text(), re.MULTILINE)
    assert project
    assert chart["version"] == chart["appVersion"] == project.group(1)


def test_notes_tell_what_to_do_next(helm: Run) -> None:
    done = helm(
        "install", RELEASE, CHART, f"--namespace={NAMESPACE}", "--dry-run=client", "--set=watchNamespaces={lab}"
    )
    assert done.returncode == 0, done.stderr
    notes = done.stdout.partition("NOTES:")[2]
    assert "looks after the GRPORuns in lab." in notes
    for command in (
        "kubectl -n grpo-system rollout status deployment/grpo-operator",
        "kubectl apply -n lab -f -",
        "kubectl explain grporun.spec.recipe",
    ):
        assert command in notes
    assert 'dashboard "GRPO run"' in notes


WITH_EDIT, WITHOUT = "Whoever has the role edit or admin", "No role of Kubernetes' own knows runs"


@pytest.mark.parametrize(
    ("settings", "said"),
    [((), WITH_EDIT), (("userRoles.enabled=false",), WITHOUT), (("watchNamespaces={lab}",), WITHOUT)],
)
def test_notes_tell_who_may_make_runs(helm: Run, settings: tuple[str, ...], said: str) -> None:
    notes = helm("install", RELEASE, CHART, "--dry-run=client", *(f"--set={setting}" for setting in settings)).stdout
    assert [sentence for sentence in (WITH_EDIT, WITHOUT) if sentence in notes] == [said]


def test_run_of_the_notes_has_nothing_but_what_a_run_may_have(helm: Run) -> None:
    from grpo_operator.api.spec import GRPORunSpec

    notes = helm("install", RELEASE, CHART, "--dry-run=client").stdout.partition("NOTES:")[2]
    manifest = yaml.safe_load(notes.partition("<<EOF\n")[2].partition("     EOF")[0])
    spec = GRPORunSpec.model_validate(manifest["spec"])
    assert spec.recipe["reward_funcs"] == ["accuracy", "format"]
    assert (spec.learners.gpus, spec.generators.gpus) == (1, 1)


def test_readme_describes_every_value() -> None:
    described = set(re.findall(r"^\| `([\w.]+)` \|", (CHART / "README.md").read_text(), re.MULTILINE))
    assert described == set(_leaves(yaml.safe_load((CHART / "values.yaml").read_text())))


def _leaves(values: dict[str, Any], prefix: str = "") -> list[str]:
    """Names of values; objects of Kubernetes count as one value."""
    whole = {"resources", "nodeSelector", "dashboards.labels"}
    found: list[str] = []
    for key, value in values.items():
        name = prefix + key
        found += _leaves(value, f"{name}.") if isinstance(value, dict) and value and name not in whole else [name]
    return found
