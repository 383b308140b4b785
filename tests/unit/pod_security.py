"""The `restricted` Pod Security Standard, rule by rule: kubernetes.io/docs/concepts/security/pod-security-standards."""

from collections.abc import Iterator
from typing import Any

Spec = dict[str, Any]

VOLUME_KINDS = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret",
}  # fmt: skip
SAFE_SYSCTLS = {
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
}  # fmt: skip
SECCOMP = {"RuntimeDefault", "Localhost"}


def violations(spec: Spec) -> list[str]:
    """What the admission of a namespace that enforces `restricted` refuses in a pod."""
    return [*_of_pod(spec), *(fault for container in _containers(spec) for fault in _of_container(spec, container))]


def _containers(spec: Spec) -> Iterator[Spec]:
    for kind in ("containers", "initContainers", "ephemeralContainers"):
        yield from spec.get(kind, [])


def _of_pod(spec: Spec) -> Iterator[str]:
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(field):
            yield field
    for volume in spec.get("volumes", []):
        if not volume.keys() - {"name"} <= VOLUME_KINDS:
            yield f"volume {volume['name']}"
    security = spec.get("securityContext", {})
    if not {entry["name"] for entry in security.get("sysctls", [])} <= SAFE_SYSCTLS:
        yield "sysctls"
    if security.get("runAsUser") == 0:
        yield "runAsUser of the pod"


def _of_container(spec: Spec, container: Spec) -> Iterator[str]:
    name, own = container["name"], container.get("securityContext", {})
    effective = spec.get("securityContext", {}) | own
    capabilities = own.get("capabilities", {})
    if own.get("privileged"):
        yield f"privileged of {name}"
    if own.get("procMount", "Default") != "Default":
        yield f"procMount of {name}"
    if own.get("allowPrivilegeEscalation") is not False:
        yield f"allowPrivilegeEscalation of {name}"
    if effective.get("runAsNonRoot") is not True:
        yield f"runAsNonRoot of {name}"
    if own.get("runAsUser") == 0:
        yield f"runAsUser of {name}"
    if effective.get("seccompProfile", {}).get("type") not in SECCOMP:
        yield f"seccompProfile of {name}"
    if "ALL" not in capabilities.get("drop", []) or not set(capabilities.get("add", [])) <= {"NET_BIND_SERVICE"}:
        yield f"capabilities of {name}"
    if any(port.get("hostPort") for port in container.get("ports", [])):
        yield f"hostPort of {name}"
    handlers = [
        *container.get("lifecycle", {}).values(),
        *(container.get(f"{kind}Probe", {}) for kind in ("startup", "liveness", "readiness")),
    ]
    if any(handler.get(action, {}).get("host") for handler in handlers for action in ("httpGet", "tcpSocket")):
        yield f"host of a probe of {name}"
