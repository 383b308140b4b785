"""The demo's first steps from the image `trainer-cpu`, as it is built for real, instead of this machine's environment."""

from collections.abc import Iterator

import pytest

from e2e.packed_image import NODE
from harness.demo_runs import small_run
from harness.kubectl import Kubectl
from harness.runs import pods, wait_for_phase

STEPS = 2


@pytest.fixture
def plain_runtime(cluster: Kubectl) -> Iterator[str]:
    """containerd's default: nothing of this machine is to be seen in the container."""
    name = "plain"
    cluster.apply(
        {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": name}, "handler": "runc"}
    )
    yield name
    cluster("delete", "runtimeclass", name)


def test_first_steps_from_the_image(namespace: Kubectl, image: str, plain_runtime: str) -> None:
    pod = {"image": image, "runtimeClassName": plain_runtime, "nodeSelector": {"kubernetes.io/hostname": NODE}}
    namespace.apply(small_run("packed", STEPS, learners=pod, generators=pod))
    run = wait_for_phase(namespace, "packed", "Succeeded", 600)
    assert run["status"]["progress"]["step"] == STEPS
    assert run["status"]["model"]
    learners = pods(namespace, "packed", "learner")
    assert [pod["status"]["containerStatuses"][0]["image"] for pod in learners] == [image]
    assert run["status"]["metrics"]["samplingLogpDifferenceMax"] < 1e-4, "generators held the learner's weights"
