"""A control plane with all its controllers on free ports of the loopback interface, and nodes that kwok simulates.

Pods on them become Running and ready without a container: enough to see what the operator writes, and fast.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import yaml

from cluster.build import current_build
from cluster.control_plane import BRISK, audit_flags
from harness.control_plane import running_control_plane
from harness.crd import apply_crd, wait_for_storage
from harness.daemons import daemon, free_ports
from harness.kubectl import Kubectl, Manifest
from harness.waiting import wait_for

ANNOTATION = "kwok.x-k8s.io/node"
NODES = 4
POD_ADDRESSES = "10.0.0.0/24"
CAPACITY = {"cpu": "64", "memory": "512Gi", "pods": "110", "nvidia.com/gpu": "8"}


@contextmanager
def simulated_cluster(
    folder: Path, nodes: int = NODES, pod_addresses: str = POD_ADDRESSES, audit_log: Path | None = None
) -> Iterator[Kubectl]:
    """kubectl as administrator of a cluster that knows GRPORuns; all of it ends with the block."""
    build = current_build()
    more_flags = audit_flags(audit_log) if audit_log else []
    with running_control_plane(folder, *more_flags) as kubectl, ExitStack() as daemons:
        config = f"--kubeconfig={kubectl.kubeconfig}"
        manager, scheduler, kwok = free_ports(3)
        commands = {
            "kube-controller-manager": [
                f"--secure-port={manager}",
                f"--service-account-private-key-file={folder / 'service-account.key'}",
                "--use-service-account-credentials",
                "--leader-elect=false",
                *BRISK,
            ],
            "kube-scheduler": [f"--secure-port={scheduler}", "--leader-elect=false", *BRISK],
            "kwok": [
                f"--server-address=127.0.0.1:{kwok}",
                "--node-lease-duration-seconds=40",  # without it nodes stop being ready after a minute
                f"--cidr={pod_addresses}",
                f"--config={build.kwok_stages}",
                f"--manage-nodes-with-annotation-selector={ANNOTATION}=fake",
            ],
        }
        for name, flags in commands.items():
            daemons.enter_context(daemon([str(build.binaries / name), config, *flags], folder / f"{name}.log"))
        apply_crd(kubectl)
        wait_for_storage(kubectl)
        kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump_all(_node(index) for index in range(nodes)))
        wait_for_service_account(kubectl)
        yield kubectl


def wait_for_service_account(kubectl: Kubectl) -> None:
    """The default one of a namespace, without which no pod is admitted there."""
    wait_for(f"a service account in {kubectl.namespace}", lambda: kubectl.find("serviceaccount", "default"), 60)


def _node(index: int) -> Manifest:
    name = f"fake-{index}"
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {ANNOTATION: "fake"},
            "labels": {"kubernetes.io/hostname": name},
        },
        "status": {"capacity": CAPACITY, "allocatable": CAPACITY},
    }
