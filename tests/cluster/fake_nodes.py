"""Simulated nodes by kwok: pods on them become Running and stay so, without a container. For scale, not for truth.

kwok takes only nodes with its annotation, so the real ones are left alone; a pod needs the toleration to get there.
"""

import json

from cluster.build import Build
from cluster.layout import CONTROL_PLANE, KUBECONFIG, PIDS, Manifest
from cluster.processes import kubectl_command, run, spawn

ANNOTATION = "kwok.x-k8s.io/node"
CAPACITY = {"cpu": "64", "memory": "512Gi", "pods": "110", "nvidia.com/gpu": "8"}


def add_fake_nodes(count: int, made: Build) -> None:
    if not (PIDS / "kwok").exists():
        flags = [
            f"--kubeconfig={KUBECONFIG}",
            f"--config={made.kwok_stages}",
            f"--manage-nodes-with-annotation-selector={ANNOTATION}=fake",
            "--cidr=10.245.0.0/16",
            "--node-ip=10.245.255.254",
        ]
        spawn("kwok", CONTROL_PLANE, [made.binaries / "kwok", *flags])
    nodes = {"apiVersion": "v1", "kind": "List", "items": [_node(f"fake-{index}") for index in range(count)]}
    run(*kubectl_command(made.binaries), "apply", "--server-side", "-f", "-", text=json.dumps(nodes))


def _node(name: str) -> Manifest:
    labels = {"type": "kwok", "kubernetes.io/hostname": name}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "annotations": {ANNOTATION: "fake"}, "labels": labels},
        "spec": {"taints": [{"key": ANNOTATION, "value": "fake", "effect": "NoSchedule"}]},
        "status": {"capacity": CAPACITY, "allocatable": CAPACITY},
    }
