"""The Helm release of the demo's own operator, as Helm 3 lists it: releases that are not finished only when asked for."""

import sys
from pathlib import Path

import pytest

from demo.current_cluster import find_operators, is_own, provide_operator
from demo.errors import DemoError
from demo.namespace import MARK
from harness.kubectl import Kubectl

# `helm list` of one release, whose status and labels are in the file `release`.
HELM = f"""#!{sys.executable}
import json, pathlib, sys
status, labels = pathlib.Path(__file__).with_name("release").read_text().split()
states = {{"--deployed", "--failed", "--pending", "--uninstalling"}}
asked_for = states.intersection(sys.argv) or {{"--deployed", "--failed"}}
is_selected = f"--selector={{labels}}" in sys.argv or not any("--selector" in word for word in sys.argv)
is_listed = is_selected and "--" + status.partition("-")[0] in asked_for
print(json.dumps([{{"name": "grpo-operator", "status": status}}] if is_listed else []))
"""
KUBECTL = """#!/bin/sh
cat <<'END'
{"items": [{
  "metadata": {
    "namespace": "grpo-system", "name": "grpo-operator",
    "labels": {"helm.sh/chart": "grpo-operator-0.1.0", "app.kubernetes.io/instance": "grpo-operator"}
  },
  "data": {"settings.json": "{}"}
}]}
END
"""


@pytest.fixture
def kubectl(tmp_path: Path) -> Kubectl:
    """Of a cluster on which a release of the demo's name has got as far as its ConfigMap."""
    for name, script in {"helm": HELM, "kubectl": KUBECTL}.items():
        (tmp_path / name).write_text(script)
        (tmp_path / name).chmod(0o755)
    return Kubectl(programs=tmp_path)


def release(kubectl: Kubectl, status: str, labels: str = MARK) -> None:
    assert kubectl.programs is not None
    (kubectl.programs / "release").write_text(f"{status} {labels}\n")


@pytest.mark.parametrize("status", ["deployed", "failed", "pending-install", "pending-upgrade", "uninstalling"])
def test_what_bears_the_mark_is_the_demos_in_every_state(kubectl: Kubectl, status: str) -> None:
    (operator,) = find_operators(kubectl)
    release(kubectl, status)
    assert is_own(kubectl, operator)
    release(kubectl, status, "team=ml-ops")
    assert not is_own(kubectl, operator)


@pytest.mark.parametrize("status", ["pending-install", "uninstalling"])
def test_an_interrupted_installation_is_not_built_upon(kubectl: Kubectl, status: str) -> None:
    release(kubectl, status)
    with pytest.raises(DemoError) as refusal:
        provide_operator(kubectl, [])
    assert str(refusal.value) == (
        f"Helm release grpo-operator of namespace grpo-system, the demo's own, was interrupted ({status}): "
        "run `CLUSTER=current make demo-down`, then the demo again."
    )
