"""The demo's first steps from the image `trainer-cpu`, as it is built for real, instead of this machine's environment."""

import shutil
from collections.abc import Iterator

import pytest

from e2e.demo_runs import small_run
from harness.installation import tool, tool_output
from harness.kubectl import Kubectl
from harness.runs import pods, wait_for_phase
from images.build import default_tag, full_name
from images.layout import CACHE

STEPS = 2
NODE = "node1"
NAME = full_name(default_tag("trainer-cpu"))
# The archive, and on the node the layers as they came and unpacked, 6 GB each, and as much again while it is being built.
NEEDED_GB = 26


@pytest.fixture
def image(cluster: Kubectl) -> Iterator[str]:
    """On one node, while the test lasts."""
    free_gb = shutil.disk_usage(CACHE).free / 1e9
    if free_gb < NEEDED_GB:
        pytest.skip(f"the image needs {NEEDED_GB} GB of disk, and {free_gb:.0f} GB are free")
    tool("cluster", "load", "--node", NODE, tool_output("images", "build", "trainer-cpu"))
    yield NAME
    tool("cluster", "unload", NAME)


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
    assert run["status"]["metrics"]["kl"] >= 0
