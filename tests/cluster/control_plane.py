"""etcd, API server, controller manager and scheduler: plain processes in the root network namespace."""

from pathlib import Path

from cluster.certificates import SERVICE_ACCOUNT
from cluster.layout import (
    AUDIT_LOG,
    BRIDGE,
    CONTROL_PLANE,
    ETCD_PEER_URL,
    ETCD_URL,
    HOST_IP,
    PKI,
    RUN,
    SERVICE_CIDR,
    SOURCES,
    client_config,
)
from cluster.processes import kubectl_command, output_or_nothing, require_alive, run, spawn
from cluster.waiting import wait_for

# The defaults (20 and 50 requests a second) would make a thousand pods take minutes.
BRISK = ("--kube-api-qps=500", "--kube-api-burst=1000")


def start_control_plane(binaries: Path, audit: bool) -> None:
    run("ip", "link", "add", BRIDGE, "type", "bridge")
    run("ip", "address", "add", f"{HOST_IP}/24", "dev", BRIDGE)
    run("ip", "link", "set", BRIDGE, "up")
    spawn("etcd", CONTROL_PLANE, [binaries / "etcd", *etcd_flags(RUN / "etcd", ETCD_URL, ETCD_PEER_URL)])
    flags = _api_server_flags() + (audit_flags(AUDIT_LOG) if audit else [])
    spawn("kube-apiserver", CONTROL_PLANE, [binaries / "kube-apiserver", *flags])
    wait_for("kube-apiserver", lambda: _is_api_server_ready(binaries))
    signing_key = f"--service-account-private-key-file={PKI / SERVICE_ACCOUNT}.key"
    flags = [signing_key, f"--root-ca-file={PKI / 'ca.crt'}", "--use-service-account-credentials"]
    spawn("kube-controller-manager", CONTROL_PLANE, _controller(binaries, "kube-controller-manager", flags))
    spawn("kube-scheduler", CONTROL_PLANE, _controller(binaries, "kube-scheduler", []))


def _is_api_server_ready(binaries: Path) -> bool:
    require_alive(["etcd", "kube-apiserver"])
    return is_api_server_ready(binaries)


def is_api_server_ready(binaries: Path) -> bool:
    return output_or_nothing(*kubectl_command(binaries), "get", "--raw", "/readyz", "--request-timeout=5s") == "ok"


def etcd_flags(data: Path, url: str, peer_url: str) -> list[str]:
    return [
        f"--data-dir={data}",
        f"--listen-client-urls={url}",
        f"--advertise-client-urls={url}",
        f"--listen-peer-urls={peer_url}",
        f"--initial-advertise-peer-urls={peer_url}",
        f"--initial-cluster=default={peer_url}",
        "--unsafe-no-fsync",  # its data need not survive a power cut
    ]


def _api_server_flags() -> list[str]:
    return [
        f"--bind-address={HOST_IP}",
        f"--advertise-address={HOST_IP}",
        f"--etcd-servers={ETCD_URL}",
        f"--service-cluster-ip-range={SERVICE_CIDR}",
        f"--client-ca-file={PKI / 'ca.crt'}",
        f"--tls-cert-file={PKI / 'apiserver.crt'}",
        f"--tls-private-key-file={PKI / 'apiserver.key'}",
        f"--kubelet-client-certificate={PKI / 'admin.crt'}",
        f"--kubelet-client-key={PKI / 'admin.key'}",
        f"--kubelet-certificate-authority={PKI / 'ca.crt'}",
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={PKI / SERVICE_ACCOUNT}.crt",
        f"--service-account-signing-key-file={PKI / SERVICE_ACCOUNT}.key",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        # There is no kube-proxy in the root namespace, so webhooks are called at their pods' addresses.
        "--enable-aggregator-routing=true",
    ]


def audit_flags(log: Path) -> list[str]:
    return [
        f"--audit-policy-file={SOURCES / 'audit-policy.yaml'}",
        f"--audit-log-path={log}",
        "--audit-log-mode=blocking",  # a line is there before the client has its answer
        "--audit-log-maxsize=0",  # one file, never rotated
    ]


def _controller(binaries: Path, name: str, flags: list[str]) -> list[object]:
    config = client_config(name)
    return [
        binaries / name,
        f"--kubeconfig={config}",
        f"--authentication-kubeconfig={config}",
        f"--authorization-kubeconfig={config}",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        *BRISK,
        *flags,
    ]
