"""Why a Job of the demo does not come to an end, as its pods' status tells."""

from typing import Any

import pytest

from demo.jobs import ends_of, trouble_of, what_keeps
from harness.kubectl import Manifest

IMAGE = "registry.example.com/ml/grpo-trainer-cpu:0.1.0"
JOB: Manifest = {"metadata": {"name": "demo-data", "namespace": "grpo-demo"}}


def pod(state: dict[str, Any] | None = None, conditions: list[dict[str, str]] | None = None) -> Manifest:
    statuses = [{"image": IMAGE, "state": state}] if state else []
    status = {"containerStatuses": statuses, "conditions": conditions or []}
    return {"metadata": {"name": "demo-data-x"}, "status": status}


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        ("ImagePullBackOff", f"pod demo-data-x cannot get image '{IMAGE}' (ImagePullBackOff: why)"),
        ("InvalidImageName", f"pod demo-data-x cannot get image '{IMAGE}' (InvalidImageName: why)"),
        ("CreateContainerConfigError", "pod demo-data-x cannot be started (CreateContainerConfigError: why)"),
        ("ErrImagePull", None),  # a first try; ImagePullBackOff follows
        ("CreateContainerError", None),  # on a busy node, which tries again
        ("ContainerCreating", None),
        ("PodInitializing", None),
    ],
)
def test_a_container_that_waits(reason: str, sentence: str | None) -> None:
    assert trouble_of([pod(), pod({"waiting": {"reason": reason, "message": "why"}})]) == sentence


@pytest.mark.parametrize("state", [None, {"running": {}}, {"terminated": {"exitCode": 1}}])
def test_a_container_that_does_not_wait(state: dict[str, Any] | None) -> None:
    assert trouble_of([pod(state)]) is None


def test_only_conditions_that_are_true_end_a_job() -> None:
    conditions = [
        {"type": "Failed", "status": "False"},
        {"type": "FailureTarget", "status": "True", "message": "soon"},
        {"type": "Complete", "status": "True"},
    ]
    assert ends_of(JOB | {"status": {"conditions": conditions}}) == {"FailureTarget": "soon", "Complete": ""}
    assert ends_of(JOB) == {}


def test_what_keeps_a_job_that_may_still_end() -> None:
    assert what_keeps(JOB, []) == (
        "it has no pod, mostly for a quota or an admission policy; see `kubectl -n grpo-demo describe job demo-data`."
    )
    unschedulable = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes."}
    assert what_keeps(JOB, [pod(conditions=[unschedulable])]) == (
        "pod demo-data-x fits no node (0/3 nodes); free a node, or give the cluster a default StorageClass with "
        "ReadWriteMany if it waits for its volume."
    )
    assert what_keeps(JOB, [pod({"running": {}})]) == (
        "see `kubectl -n grpo-demo describe pod demo-data-x` and its log."
    )
