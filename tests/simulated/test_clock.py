"""An operator on a node whose clock is wrong."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from grpo_operator.clock import COARSE_S
from grpo_operator.reconcile.restart import GONE_GRACE_S
from harness.kubectl import Kubectl
from harness.moved_clock import moved_clock
from harness.runs import SOON_S, pods
from harness.waiting import wait_for
from simulated.kept_running import free_lease
from simulated.operator_process import running_operator
from simulated.runs import start_run

ROUNDED_S = 2 * COARSE_S
"""The API server's answers have whole seconds, and so have dates that are written."""


@pytest.mark.parametrize("by", ["+1h", "-1h"])
def test_it_goes_by_the_api_servers_time(kubectl: Kubectl, kubeconfig: Path, folder: Path, name: str, by: str) -> None:
    """By its own, a learner on a node that does not answer would be given up at once, or after an hour."""
    free_lease(kubectl)
    with running_operator(kubeconfig, folder, f"clock{by}", moved_clock(by, folder)) as operator:
        run = start_run(kubectl, name)
        started_at = datetime.fromisoformat(kubectl.get("grporun", name)["status"]["startedAt"])
        created_at = datetime.fromisoformat(run["metadata"]["creationTimestamp"])
        assert timedelta(seconds=-ROUNDED_S) <= started_at - created_at < timedelta(seconds=SOON_S)
        lost, deleted_s = pods(kubectl, name, "learner")[1]["metadata"]["name"], time.monotonic()
        kubectl("delete", "pod", lost, "--grace-period=1", "--wait=false")
        wait_for("attempt 2", lambda: kubectl.find("job", f"{name}-learner-2"), GONE_GRACE_S + 2 * SOON_S, 0.1)
        assert time.monotonic() - deleted_s >= GONE_GRACE_S - ROUNDED_S
        failure = kubectl.get("grporun", name)["status"]["lastFailure"]
        assert failure["reason"] == "LearnerNodeLost"
        assert abs(datetime.now(UTC) - datetime.fromisoformat(failure["time"])) < timedelta(seconds=SOON_S)
        assert "s off the API server's, and goes by that one now" in operator.log.read_text()
