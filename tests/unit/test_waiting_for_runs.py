"""Who waits for a run learns at once that it ended otherwise, with its status."""

import json
from pathlib import Path

import pytest

from harness.kubectl import Kubectl, Manifest
from harness.runs import RunEndedError, wait_for_condition, wait_for_phase, wait_for_run, wait_for_step

GENERATORS = {"type": "GeneratorsReady", "status": "False", "reason": "RunEnded"}
FAILED: Manifest = {"status": {"phase": "Failed", "progress": {"step": 3}, "attempt": 2, "conditions": [GENERATORS]}}


@pytest.fixture
def kubectl(tmp_path: Path) -> Kubectl:
    """Of a cluster with one run, which has failed at step 3."""
    (tmp_path / "kubectl").write_text(f"#!/bin/sh\necho '{json.dumps(FAILED)}'\n")
    (tmp_path / "kubectl").chmod(0o755)
    return Kubectl(programs=tmp_path)


def test_in_another_phase(kubectl: Kubectl) -> None:
    with pytest.raises(RunEndedError, match=r"^r is Failed at step 3 and not Succeeded: .*'attempt': 2"):
        wait_for_phase(kubectl, "r", "Succeeded")
    assert wait_for_phase(kubectl, "r", "Failed") == FAILED


def test_before_a_step(kubectl: Kubectl) -> None:
    with pytest.raises(RunEndedError, match=r"^r is Failed at step 3 and not at step 4: .*'attempt': 2"):
        wait_for_step(kubectl, "r", 4)
    assert wait_for_step(kubectl, "r", 3) == FAILED


def test_with_another_reason(kubectl: Kubectl) -> None:
    with pytest.raises(RunEndedError, match=r"^r is Failed at step 3 and not GeneratorsReady with reason AllReady: "):
        wait_for_condition(kubectl, "r", "GeneratorsReady", "AllReady")
    assert wait_for_condition(kubectl, "r", "GeneratorsReady", "RunEnded") == GENERATORS


def test_without_what_is_looked_for(kubectl: Kubectl) -> None:
    with pytest.raises(RunEndedError, match=r"^r is Failed at step 3 and not with a checkpoint: "):
        wait_for_run(kubectl, "r", "with a checkpoint", lambda run: run["status"].get("checkpoint"))
    assert wait_for_run(kubectl, "r", "in an attempt", lambda run: run["status"]["attempt"]) == 2
