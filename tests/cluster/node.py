"""A node: one mount and network namespace and one cgroup tree, in which containerd, kubelet and kube-proxy run.

/var and /run inside are the node's own, so these three keep their usual paths and never meet the machine's. Ending the
processes in the cgroup ends the node: the kernel then drops its mounts, interfaces and routes by itself.
"""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

from cluster import cgroups
from cluster.host_python import host_python_spec
from cluster.layout import (
    BRIDGE,
    DNS_IP,
    HOST_IP,
    MAX_NODES,
    PKI,
    POD_CIDR,
    PREFIX,
    SOURCES,
    Manifest,
    client_config,
    node_ip,
    node_link,
    node_names,
    node_state,
    pod_subnet,
)
from cluster.processes import enter, output_or_nothing, require_alive, run, spawn
from cluster.waiting import ClusterError, wait_for

CONTAINERD_SOCKET = "unix:///run/containerd/containerd.sock"
BRIDGE_FILTER = Path("/proc/sys/net/bridge")  # where the tunables of br_netfilter are, once it is loaded
# The kubelet writes these for the whole machine and leaves them so; it is content to read the values that it wants.
KERNEL_TUNABLES = {
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1000000,
    "kernel/keys/root_maxbytes": 25000000,
}


def create_node(node: str) -> None:
    """The namespaces, the interface on the bridge, a /run and a /var, and kernel tunables that the kubelet may read."""
    _let_kernel_filter_bridges()
    pid = spawn(
        f"{node}-namespaces",
        node,
        ["unshare", "--mount", "--propagation=slave", "--net", "--uts", "sleep", "infinity"],
    )
    # Only once `unshare` has become `sleep` are the mounts private; sooner, ours could spread to the machine.
    wait_for(f"namespaces of {node}", lambda: Path(f"/proc/{pid}/comm").read_text() == "sleep\n")
    run("ip", "link", "add", node_link(node), "type", "veth", "peer", "name", "eth0", "netns", pid)
    run("ip", "link", "set", node_link(node), "master", BRIDGE, "up")
    run("ip", "route", "add", pod_subnet(node), "via", node_ip(node), "dev", BRIDGE)
    state = node_state(node)
    for folder in ("var/lib", "var/log", "var/tmp", "cni", "sysctl"):
        (state / folder).mkdir(parents=True)
    (state / "var/run").symlink_to("/run")
    script = [*_private_folders(node), *_network(node), *_tunables(state / "sysctl")]
    run(*enter(node), "sh", "-ec", "\n".join(script))


def _let_kernel_filter_bridges() -> None:
    """Without this module what two pods of one node send each other passes neither Services nor NetworkPolicies.

    It filters in every network namespace made afterwards, and in the machine's own, whose bridges never asked for it.
    """
    if not BRIDGE_FILTER.exists():
        if shutil.which("modprobe") is None:
            raise ClusterError("the kernel module br_netfilter is not loaded and there is no modprobe: install kmod")
        run("modprobe", "br_netfilter")
        for protocol in ("arptables", "iptables", "ip6tables"):
            (BRIDGE_FILTER / f"bridge-nf-call-{protocol}").write_text("0")


def _private_folders(node: str) -> list[str]:
    return [f"hostname {node}", "mount -t tmpfs tmpfs /run", f"mount --bind {node_state(node) / 'var'} /var"]


def _network(node: str) -> list[str]:
    others = [other for other in node_names(MAX_NODES) if other != node]
    return [
        "ip link set lo up",
        "ip link set eth0 up",
        f"ip address add {node_ip(node)}/24 dev eth0",
        f"ip route add default via {HOST_IP}",
        "echo 1 > /proc/sys/net/ipv4/ip_forward",
        *(f"ip route add {pod_subnet(other)} via {node_ip(other)} dev eth0" for other in others),
    ]


def _tunables(folder: Path) -> list[str]:
    commands = []
    for name, value in KERNEL_TUNABLES.items():
        copy = folder / name.replace("/", ".")
        copy.write_text(f"{value}\n")
        commands.append(f"mount --bind {copy} /proc/sys/{name}")
    return commands


def start_containerd(node: str) -> None:
    state = node_state(node)
    (state / "cni/10-pods.conflist").write_text(json.dumps(_pod_network(node)))
    (state / "host-python.json").write_text(json.dumps(host_python_spec()))
    template = (SOURCES / "containerd.toml").read_text()
    (state / "containerd.toml").write_text(template.replace("@STATE@", str(state)))
    name = f"{node}-containerd"
    spawn(name, node, [*enter(node), "containerd", "--config", state / "containerd.toml"])

    def answers() -> bool:
        require_alive([name])
        return bool(output_or_nothing(*enter(node), "ctr", "version"))

    wait_for(name, answers)


def start_kubelet(node: str, binaries: Path) -> None:
    config = node_state(node) / "kubelet.json"
    config.write_text(json.dumps(_kubelet_configuration(node)))
    flags = [f"--kubeconfig={client_config(node)}", f"--hostname-override={node}", f"--node-ip={node_ip(node)}"]
    spawn(f"{node}-kubelet", node, [*enter(node), binaries / "kubelet", f"--config={config}", *flags])


def start_kube_proxy(node: str, binaries: Path) -> None:
    flags = [
        f"--kubeconfig={client_config('kube-proxy')}",
        f"--hostname-override={node}",
        f"--cluster-cidr={POD_CIDR}",
        "--proxy-mode=iptables",
        "--oom-score-adj=0",  # lowering it needs CAP_SYS_RESOURCE
        # The limits of connection tracking belong to the root network namespace; 0 leaves them alone.
        "--conntrack-max-per-core=0",
        "--conntrack-min=0",
        "--conntrack-tcp-timeout-established=0",
        "--conntrack-tcp-timeout-close-wait=0",
    ]
    spawn(f"{node}-kube-proxy", node, [*enter(node), binaries / "kube-proxy", *flags])


def _pod_network(node: str) -> Manifest:
    addresses = {
        "type": "host-local",
        "ranges": [[{"subnet": pod_subnet(node)}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "hairpinMode": True, "ipam": addresses}
    host_ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "1.0.0", "name": "pods", "plugins": [bridge, host_ports]}


def _kubelet_configuration(node: str) -> Manifest:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {"anonymous": {"enabled": False}, "x509": {"clientCAFile": str(PKI / "ca.crt")}},
        "tlsCertFile": str(PKI / f"{node}.crt"),
        "tlsPrivateKeyFile": str(PKI / f"{node}.key"),
        "containerRuntimeEndpoint": CONTAINERD_SOCKET,
        "clusterDomain": "cluster.local",
        "clusterDNS": [DNS_IP],
        "resolvConf": "",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{PREFIX}{node}",  # the kubelets share the hierarchies
        "failCgroupV1": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,  # lowering it needs CAP_SYS_RESOURCE
        # A developer's disk is often nearly full; the nodes must neither evict pods nor delete images for that.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "syncFrequency": "10s",  # changed ConfigMaps reach their volumes within a test's patience
    }


def load_images(archives: Iterable[Path], nodes: Iterable[str] | None = None) -> None:
    """Import docker-archives into the containerd of every node."""
    chosen = list(nodes) if nodes is not None else cgroups.running_nodes()
    for archive in archives:
        for node in chosen:
            with archive.open("rb") as file:  # as standard input: the node has a /var and a /run of its own
                run(*enter(node), "ctr", "--namespace", "k8s.io", "images", "import", "-", stdin=file)


def remove_image(image: str) -> None:
    for node in cgroups.running_nodes():
        run(*enter(node), "ctr", "--namespace", "k8s.io", "images", "rm", "--sync", image)


def cut_off(node: str) -> None:
    """Unplug the node: NotReady after about a minute, while everything on it runs on."""
    run("ip", "link", "set", node_link(node), "down")


def reconnect(node: str) -> None:
    run("ip", "link", "set", node_link(node), "up")
