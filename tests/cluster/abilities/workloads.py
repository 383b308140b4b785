"""Deployments, Services, Jobs and what happens to their pods."""

import os
import signal
import urllib.request

from cluster import cgroups
from cluster.abilities.proof import (
    CONFINED,
    NAMESPACE,
    NOT_ROOT,
    apart,
    apply,
    attempt,
    binaries,
    kubectl,
    pod,
    wait_for_end,
)
from cluster.images import reference
from cluster.layout import Manifest
from cluster.port_forward import forwarded
from cluster.processes import kubectl_command
from cluster.waiting import wait_for

WEB = {"app": "web"}
PAIR = {"app": "pair"}


def nodes_on_both() -> None:
    """a Deployment with anti-affinity runs one pod on each node"""
    container = {
        "name": "web",
        "image": reference("busybox"),
        "command": ["sh", "-c", "hostname > /tmp/index.html; echo serving; exec httpd -f -p 8080 -h /tmp"],
        "readinessProbe": {"httpGet": {"path": "/index.html", "port": 8080}, "periodSeconds": 1},
    }
    template = {
        "metadata": {"labels": WEB},
        "spec": {"terminationGracePeriodSeconds": 0, "affinity": apart(WEB), "containers": [container]},
    }
    spec = {"replicas": 2, "selector": {"matchLabels": WEB}, "template": template}
    apply(
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec},
        _service("web", {"selector": WEB, "ports": [{"port": 80, "targetPort": 8080}]}),
        _service("web-pods", {"clusterIP": "None", "selector": WEB, "ports": [{"port": 8080}]}),
    )
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    nodes = kubectl("get", "pod", "-l", "app=web", "-o", "jsonpath={.items[*].spec.nodeName}").split()
    assert sorted(nodes) == ["node1", "node2"], nodes


def service_and_dns() -> None:
    """a pod resolves a headless Service to both pods and reaches both through a ClusterIP"""
    resolve = f"nslookup web-pods.{NAMESPACE}.svc.cluster.local"
    fetch = "for i in $(seq 30); do wget -qO- http://web/index.html; sleep 0.1; done"  # kube-proxy lags by a second
    apply(pod("client", f"{resolve}; {fetch}"))
    wait_for_end("client")
    log = kubectl("logs", "client")
    for field in ("status.podIP", "metadata.name"):
        values = kubectl("get", "pod", "-l", "app=web", "-o", f"jsonpath={{.items[*].{field}}}").split()
        assert [value in log for value in values] == [True, True], (values, log)


def logs_and_exec() -> None:
    """logs, exec and port-forward go through both kubelets"""
    for name in kubectl("get", "pod", "-l", "app=web", "-o", "name").split():
        assert "serving" in kubectl("logs", name)
        assert kubectl("exec", name, "--", "hostname").strip() == name.removeprefix("pod/")
        assert _fetch_through_port_forward(name).strip() == name.removeprefix("pod/")


def _fetch_through_port_forward(name: str) -> str:
    command = [*kubectl_command(binaries()), "-n", NAMESPACE, "port-forward", name, ":8080"]
    with forwarded(command) as address, urllib.request.urlopen(f"{address}/index.html", timeout=10) as answer:
        page: str = answer.read().decode()
    return page


def indexed_job() -> None:
    """an Indexed Job's two pods, on different nodes, find each other by host name"""
    script = """
        if [ $JOB_COMPLETION_INDEX = 0 ]; then echo hello from 0 | nc -l -p 9000
        else until nc -w 2 pair-0.pair 9000; do sleep 0.5; done; fi"""
    container = {"name": "worker", "image": reference("busybox"), "command": ["sh", "-c", script]}
    pod_spec = {
        "subdomain": "pair",
        "restartPolicy": "Never",
        "affinity": apart(PAIR),
        "containers": [container],
    }
    job = {
        "completionMode": "Indexed",
        "completions": 2,
        "parallelism": 2,
        "template": {"metadata": {"labels": PAIR}, "spec": pod_spec},
    }
    apply(
        _service("pair", {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": PAIR}),
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "pair"}, "spec": job},
    )
    kubectl("wait", "--for=condition=Complete", "job/pair", "--timeout=60s")
    log = kubectl("logs", "-l", "batch.kubernetes.io/job-completion-index=1")  # with the failures until 0 listens
    assert log.endswith("hello from 0\n"), log


def restricted_pod() -> None:
    """a namespace that enforces `restricted` takes a confined pod, with a read-only root, and refuses another"""
    kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
    script = "id -u; grep -E 'Seccomp:|CapEff' /proc/self/status; touch /x 2>&- || echo read-only"
    apply(pod("restricted", script, spec={"securityContext": NOT_ROOT}, container={"securityContext": CONFINED}))
    refused = attempt("run", "open", f"--image={reference('busybox')}", "--restart=Never")
    kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce-")
    assert 'violates PodSecurity "restricted' in refused.stderr, refused
    wait_for_end("restricted")
    log = kubectl("logs", "restricted").split()
    assert log == ["65532", "CapEff:", "0000000000000000", "Seccomp:", "2", "read-only"], log


def memory_limit() -> None:
    """a container over its memory limit ends as OOMKilled"""
    apply(pod("greedy", "exec tail -c 512m /dev/zero", container={"resources": {"limits": {"memory": "32Mi"}}}))
    kubectl("wait", "--for=jsonpath={.status.phase}=Failed", "pod/greedy", "--timeout=60s")
    reason = "jsonpath={.status.containerStatuses[0].state.terminated.reason}"
    assert kubectl("get", "pod", "greedy", "-o", reason) == "OOMKilled"


def killed_from_outside() -> None:
    """SIGKILL to a container's processes, as the machine sees them, restarts it in the same pod"""
    apply(pod("victim", "exec sleep 987", spec={"restartPolicy": "Always"}))
    kubectl("wait", "--for=condition=Ready", "pod/victim", "--timeout=60s")
    uid = kubectl("get", "pod", "victim", "-o", "jsonpath={.metadata.uid}")
    victims = [pid for pid in cgroups.processes_of_pod(uid) if cgroups.command_of(pid) == ["sleep", "987"]]
    assert len(victims) == 1, victims
    os.kill(victims[0], signal.SIGKILL)
    restarts = "jsonpath={.status.containerStatuses[0].restartCount}"
    wait_for("the restart of victim", lambda: kubectl("get", "pod", "victim", "-o", restarts) == "1", timeout_s=30)
    kubectl("delete", "pod", "victim")


def _service(name: str, spec: Manifest) -> Manifest:
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}
