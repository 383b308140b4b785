"""The cluster's own services to a run: volumes and Prometheus."""

import json
import sys
import urllib.parse
import urllib.request
from pathlib import Path

from cluster.abilities.proof import (
    CONFINED,
    NAMESPACE,
    NOT_ROOT,
    apply,
    kubectl,
    network_policy_named,
    on,
    pod,
    wait_for_end,
)
from cluster.layout import MONITORING_NAMESPACE, Manifest
from cluster.processes import run
from cluster.waiting import wait_for


def shared_volume() -> None:
    """a claim without a class is one folder for pods of any user on both nodes, and goes with the claim"""
    apply(_claim("common", ["ReadWriteMany"]))
    apply(_with_volume(pod("writer", "umask 077; echo kept > /volume/word; chmod 644 /volume/word"), "common", "node1"))
    wait_for_end("writer")
    apply(_with_volume(pod("reader", "cat /volume/word"), "common", "node2"))
    wait_for_end("reader")
    assert kubectl("logs", "reader") == "kept\n"
    volume = kubectl("get", "pvc", "common", "-o", "jsonpath={.spec.volumeName}")
    folder = Path(kubectl("get", "pv", volume, "-o", "jsonpath={.spec.hostPath.path}"))
    assert (folder / "word").read_text() == "kept\n"
    kubectl("delete", "pod", "writer", "reader")
    kubectl("delete", "pvc", "common")
    kubectl("wait", "--for=delete", f"pv/{volume}", "--timeout=30s")
    assert not folder.exists()


def single_node_volume() -> None:
    """class single-node offers ReadWriteOnce on one node; a claim for more stays Pending with an event that says why"""
    apply(_claim("local", ["ReadWriteOnce"], "single-node"), _claim("wide", ["ReadWriteMany"], "single-node"))
    local = _with_volume(pod("local", "echo here > /volume/word"), "local", "node2")
    apply(local, _with_volume(pod("wide", "true"), "wide", "node2"))
    wait_for_end("local")
    volume = kubectl("get", "pvc", "local", "-o", "jsonpath={.spec.volumeName}")
    terms = json.loads(kubectl("get", "pv", volume, "-o", "jsonpath={.spec.nodeAffinity.required.nodeSelectorTerms}"))
    assert terms[0]["matchExpressions"][0]["values"] == ["node2"], terms
    apply(_with_volume(pod("elsewhere", "true"), "local", "node1"))
    unscheduled = 'jsonpath={.status.conditions[?(@.type=="PodScheduled")].message}'
    conflict = ("get", "pod", "elsewhere", "-o", unscheduled)
    why = "didn't match PersistentVolume's node affinity"
    wait_for("pod elsewhere to be refused", lambda: why in kubectl(*conflict), timeout_s=30)
    about = ["--field-selector=involvedObject.name=wide,reason=ProvisioningFailed"]
    events = ("get", "event", *about, "-o", "jsonpath={.items[*].message}")
    expected = "storage class single-node does not offer ReadWriteMany"
    wait_for("the event about claim wide", lambda: kubectl(*events) == expected, timeout_s=30)
    assert kubectl("get", "pvc", "wide", "-o", "jsonpath={.status.phase}") == "Pending"
    kubectl("delete", "pod", "local", "wide", "elsewhere")
    kubectl("delete", "pvc", "local", "wide")


def prometheus() -> None:
    """Prometheus finds an annotated pod, is let in by a policy for its namespace, and names the run and the role"""
    labels = {"grpo.dev/run": "first", "grpo.dev/role": "learner"}
    annotations = {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": "9400",
        "prometheus.io/path": "/metrics.txt",  # a suffix that httpd knows the type of
    }
    script = "echo proof_value 42 > /tmp/metrics.txt; exec httpd -f -p 9400 -h /tmp"
    measured = pod("measured", script, labels=labels, annotations=annotations, spec=on("node1"))
    apply(_only_from(MONITORING_NAMESPACE), measured)
    url = run(sys.executable, "-m", "cluster", "prometheus-url").strip()
    query = f"{url}/api/v1/query?" + urllib.parse.urlencode({"query": "proof_value"})

    def found() -> list[Manifest]:
        with urllib.request.urlopen(query, timeout=10) as answer:
            result: list[Manifest] = json.loads(answer.read())["data"]["result"]
        return result

    wait_for("proof_value in Prometheus", found, timeout_s=30)
    series = found()
    address = kubectl("get", "pod", "measured", "-o", "jsonpath={.status.podIP}")
    assert [entry["value"][1] for entry in series] == ["42"], series
    assert series[0]["metric"] == {
        "__name__": "proof_value",
        "job": "pods",
        "instance": f"{address}:9400",
        "namespace": NAMESPACE,
        "pod": "measured",
        "node": "node1",
        "run": "first",
        "role": "learner",
    }, series
    kubectl("delete", "pod", "measured")
    kubectl("delete", "networkpolicy", "measured")


def _only_from(namespace: str) -> Manifest:
    peer = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
    rule = {"from": [peer], "ports": [{"port": 9400}]}
    spec = {"podSelector": {"matchLabels": {"grpo.dev/run": "first"}}, "ingress": [rule]}
    return network_policy_named("measured", spec)


def _claim(name: str, modes: list[str], storage_class: str | None = None) -> Manifest:
    spec: Manifest = {"accessModes": modes, "resources": {"requests": {"storage": "1Gi"}}}
    if storage_class:
        spec["storageClassName"] = storage_class
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}


def _with_volume(manifest: Manifest, claim: str, node: str) -> Manifest:
    """The pod with the claim at /volume, on the node, as a user whom the folder does not belong to."""
    spec = manifest["spec"]
    spec |= {**on(node), "securityContext": NOT_ROOT}
    spec["volumes"] = [{"name": "volume", "persistentVolumeClaim": {"claimName": claim}}]
    container = spec["containers"][0]
    container |= {"securityContext": CONFINED, "volumeMounts": [{"name": "volume", "mountPath": "/volume"}]}
    return manifest
