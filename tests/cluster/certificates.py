"""The cluster's certificate authority and one certificate and kubeconfig per client, made anew by every `up`."""

import json
from collections.abc import Iterable, Sequence

from cluster.layout import API_SERVICE_IP, API_URL, HOST_IP, PKI, Manifest, client_config, node_ip
from cluster.processes import run

SERVICE_ACCOUNT = "service-account"  # signs the tokens of service accounts; only its key matters
VALID_DAYS = "30"


def write_certificates(nodes: Sequence[str]) -> None:
    # With the distribution's own openssl.cnf every certificate would be a CA.
    (PKI / "openssl.cnf").write_text("[req]\ndistinguished_name=dn\n[dn]\n")
    _write_certificate("ca", "/CN=grpo-cluster", ["basicConstraints=critical,CA:true"])
    _write_certificate(SERVICE_ACCOUNT, "/CN=service-account")
    names = ["IP:127.0.0.1", f"IP:{HOST_IP}", f"IP:{API_SERVICE_IP}", "DNS:kubernetes.default.svc"]
    _write_certificate("apiserver", "/CN=kube-apiserver", [f"subjectAltName={','.join(names)}"])
    _write_client("admin", "/O=system:masters/CN=admin")
    for component in ("kube-controller-manager", "kube-scheduler", "kube-proxy"):
        _write_client(component, f"/CN=system:{component}")
    for node in nodes:  # also what the kubelet serves with, hence the address
        _write_client(node, f"/O=system:nodes/CN=system:node:{node}", [f"subjectAltName=IP:{node_ip(node)}"])


def _write_client(name: str, subject: str, extensions: Iterable[str] = ()) -> None:
    _write_certificate(name, subject, extensions)
    client_config(name).write_text(json.dumps(_kubeconfig(name), indent=1))


def _write_certificate(name: str, subject: str, extensions: Iterable[str] = ()) -> None:
    signer = [] if name == "ca" else ["-CA", PKI / "ca.crt", "-CAkey", PKI / "ca.key"]
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    added = [part for extension in extensions for part in ("-addext", extension)]
    files = ["-keyout", PKI / f"{name}.key", "-out", PKI / f"{name}.crt"]
    config = ["-config", PKI / "openssl.cnf", "-days", VALID_DAYS, "-subj", subject]
    run("openssl", "req", "-x509", *config, *key, *signer, *added, *files)


def _kubeconfig(name: str) -> Manifest:
    cluster = {"server": API_URL, "certificate-authority": str(PKI / "ca.crt")}
    user = {"client-certificate": str(PKI / f"{name}.crt"), "client-key": str(PKI / f"{name}.key")}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "grpo",
        "clusters": [{"name": "grpo", "cluster": cluster}],
        "contexts": [{"name": "grpo", "context": {"cluster": "grpo", "user": name}}],
        "users": [{"name": name, "user": user}],
    }
