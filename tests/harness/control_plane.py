"""A real etcd and kube-apiserver on free ports of the loopback interface, and nothing else: enough to judge manifests.

The programs are those that `make cluster-build` makes. All that is written lies below one folder of the caller's.
"""

import json
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from cluster.build import current_build
from cluster.control_plane import etcd_flags
from harness.daemons import daemon, free_ports
from harness.kubectl import Kubectl
from harness.waiting import wait_for

START_TIMEOUT_S = 60
NOWHERE = "192.0.2.1"
"""Of a network for documentation (RFC 5737)."""


@contextmanager
def running_control_plane(folder: Path, *more_api_server_flags: str) -> Iterator[Kubectl]:
    """kubectl as administrator of a control plane that ends with the block.

    Raises:
        FileNotFoundError: the programs have not been built.
        TimeoutError: the API server did not become ready; its log is in `folder`.
    """
    programs = current_build().binaries
    if not programs.is_dir():
        raise FileNotFoundError(f"{programs} does not exist: run `make cluster-build` first")
    client, peer, secure = free_ports(3)
    etcd, etcd_peer = (f"http://127.0.0.1:{port}" for port in (client, peer))
    token = secrets.token_hex(16)
    kubectl = Kubectl(kubeconfig=_write_kubeconfig(folder, secure, token), programs=programs, namespace="default")
    with ExitStack() as daemons:
        for name, flags in (
            ("etcd", etcd_flags(folder / "etcd", etcd, etcd_peer)),
            ("kube-apiserver", [*_api_server_flags(folder, etcd, secure, token), *more_api_server_flags]),
        ):
            daemons.enter_context(daemon([str(programs / name), *flags], folder / f"{name}.log"))
        wait_for("API server", lambda: kubectl.attempt("get", "--raw", "/readyz").stdout == "ok", START_TIMEOUT_S, 0.1)
        yield kubectl


def _write_kubeconfig(folder: Path, port: int, token: str) -> Path:
    # The API server makes its own certificate when it starts, and puts its authority's into the same file.
    authority = folder / "certificates" / "apiserver.crt"
    cluster = {"server": f"https://127.0.0.1:{port}", "certificate-authority": str(authority)}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "admin", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
    }
    file = folder / "kubeconfig"
    file.write_text(json.dumps(config))
    return file


def _api_server_flags(folder: Path, etcd: str, port: int, token: str) -> list[str]:
    tokens, key = folder / "tokens.csv", folder / "service-account.key"
    tokens.write_text(f"{token},admin,admin,system:masters\n")
    # Nobody asks for a service account here, but the API server does not start without a key for their tokens.
    command = ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(key)]
    subprocess.run(command, check=True, capture_output=True)
    return [
        "--bind-address=127.0.0.1",
        # Nobody asks for it; left to itself the server looks for the machine's default route, and does not start without.
        f"--advertise-address={NOWHERE}",
        f"--secure-port={port}",
        f"--cert-dir={folder / 'certificates'}",
        f"--etcd-servers={etcd}",
        f"--token-auth-file={tokens}",
        "--authorization-mode=RBAC",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}",
        "--service-cluster-ip-range=10.0.0.0/24",
    ]
