"""Where everything of the cluster lies and which addresses it uses. It does no work."""

import os
from pathlib import Path
from typing import Any

Manifest = dict[str, Any]

SOURCES = Path(__file__).resolve().parent
HOME = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "grpo-operator"
CACHE = HOME / "cluster"  # builds, one folder per key, and what runs
LOCK = CACHE / "lock"
ENVIRONMENTS = HOME / "envs"  # the project's Python environments, which pods of `host-python` see

# All that `up` makes and `down` removes.
RUN = CACHE / "run"
PKI, LOGS, PIDS, COMMANDS = RUN / "pki", RUN / "logs", RUN / "pids", RUN / "commands"
KUBECONFIG, STATE, AUDIT_LOG = RUN / "admin.kubeconfig", RUN / "state.json", LOGS / "audit.log"
VOLUMES = RUN / "volumes"  # the folders behind PersistentVolumes, the same on every node

PREFIX = "grpo-"  # of the cgroups, and of the nodes' interfaces in the root namespace
CONTROL_PLANE = "control-plane"  # the cgroup of all that runs outside the nodes

BRIDGE, HOST_IP = "grpo0", "10.200.0.1"
POD_CIDR, SERVICE_CIDR = "10.244.0.0/16", "10.96.0.0/16"
API_SERVICE_IP, DNS_IP = "10.96.0.1", "10.96.0.10"
API_URL, ETCD_URL, ETCD_PEER_URL = f"https://{HOST_IP}:6443", "http://127.0.0.1:2379", "http://127.0.0.1:2380"
MAX_NODES = 9  # every node is told the way to each of the others when it starts

MONITORING_NAMESPACE, PROMETHEUS_PORT = "monitoring", 9090


def node_names(count: int) -> list[str]:
    return [f"node{index}" for index in range(1, count + 1)]


def node_index(node: str) -> int:
    return int(node.removeprefix("node"))


def node_ip(node: str) -> str:
    return f"10.200.0.{10 + node_index(node)}"


def pod_subnet(node: str) -> str:
    return f"10.244.{node_index(node)}.0/24"


def node_link(node: str) -> str:
    """The node's interface as the root namespace sees it: a port of the bridge."""
    return PREFIX + node


def node_state(node: str) -> Path:
    return RUN / node


def client_config(name: str) -> Path:
    """The kubeconfig of one client of the API server; `admin` is the one that people use."""
    return RUN / f"{name}.kubeconfig"
