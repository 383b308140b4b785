"""What the nodes and the API server offer beside running pods: hardware, environments, policies, types, charts."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from cluster.abilities.proof import (
    CONFINED,
    NAMESPACE,
    NOT_ROOT,
    apply,
    attempt,
    binaries,
    kubectl,
    network_policy_named,
    pod,
    wait_for_end,
)
from cluster.host_python import write_environment_image
from cluster.images import reference
from cluster.layout import ENVIRONMENTS, KUBECONFIG, RUN, Manifest
from cluster.lock import alone
from cluster.node import load_images
from cluster.processes import run
from cluster.waiting import wait_for

GPU = "nvidia.com/gpu"
WEB = {"app": "web"}  # the Deployment of workloads.nodes_on_both


def fake_gpus() -> None:
    """patched GPU capacity is scheduled: the pod that fits runs, the one that does not stays Pending"""
    # The kubelet would derive the second from the first, within ten seconds.
    paths = ["/status/capacity/nvidia.com~1gpu", "/status/allocatable/nvidia.com~1gpu"]
    _patch_node("node1", [{"op": "add", "path": path, "value": "2"} for path in paths])
    limits = {"resources": {"limits": {GPU: 2}}}
    apply(pod("gpu-first", "sleep 100", container=limits))
    kubectl("wait", "--for=condition=Ready", "pod/gpu-first", "--timeout=60s")
    apply(pod("gpu-second", "sleep 100", container=limits))
    why = ("get", "pod", "gpu-second", "-o", 'jsonpath={.status.conditions[?(@.type=="PodScheduled")].message}')
    wait_for("gpu-second to be refused", lambda: f"Insufficient {GPU}" in kubectl(*why), timeout_s=30)
    kubectl("delete", "pod", "gpu-first", "gpu-second")
    _patch_node("node1", [{"op": "remove", "path": path} for path in paths])


def _patch_node(node: str, patch: list[Manifest]) -> None:
    kubectl("patch", "node", node, "--subresource=status", "--type=json", "-p", json.dumps(patch))


def host_python() -> None:
    """RuntimeClass host-python runs an environment made after `up`, as any user, from PATH"""
    environment = ENVIRONMENTS / "proof"
    run(sys.executable, "-m", "venv", "--without-pip", environment)
    with alone():
        load_images([write_environment_image(RUN, environment)])
    question = "import json, os, ssl, sys; print(json.dumps([sys.prefix, os.getuid(), "
    question += "[f for f in sys.argv[1:] if os.stat(f).st_mode & 0o5 != 0o5]]))"
    parents = [str(folder) for folder in (environment, Path(sys.base_prefix)) for folder in folder.parents]
    container = {
        "image": reference(environment.name),
        "command": ["python", "-c", question, *parents],
        "securityContext": CONFINED,
    }
    apply(pod("python", "", spec={"runtimeClassName": "host-python", "securityContext": NOT_ROOT}, container=container))
    wait_for_end("python")
    prefix, user, closed = json.loads(kubectl("logs", "python"))
    shutil.rmtree(environment)
    assert (prefix, user) == (str(environment), 65532), (prefix, user)
    assert closed == [], f"folders that not every user can enter: {closed}"


def network_policy() -> None:
    """a NetworkPolicy admits only pods with the right label, on the right port"""
    friends = {"from": [{"podSelector": {"matchLabels": {"role": "friend"}}}], "ports": [{"port": 8080}]}
    spec = {"podSelector": {"matchLabels": WEB}, "ingress": [friends]}
    apply(network_policy_named("web", spec))
    # The policy is in force within half a second; each client begins after two.
    fetch = "timeout 2 wget -qO /dev/null http://web && echo answered || echo refused"
    script = f"sleep 2; for i in 1 2 3; do {fetch}; done"
    apply(pod("friend", script, labels={"role": "friend"}), pod("stranger", script))
    wait_for_end("friend", "stranger")
    for name, outcome in (("friend", "answered"), ("stranger", "refused")):
        outcomes = [line for line in kubectl("logs", name).split() if line in ("answered", "refused")]
        assert outcomes == [outcome] * 3, (name, outcomes)
    kubectl("delete", "networkpolicy", "web")


def custom_resource() -> None:
    """a CRD's CEL rules refuse, and server-side apply keeps field managers apart"""
    apply(_proof_crd())
    # `kubectl wait` fails at once while the conditions of a new CRD are still null.
    established = 'jsonpath={.status.conditions[?(@.type=="Established")].status}'
    ask = ("get", "crd", "proofs.grpo.test", "-o", established)
    wait_for("the CRD to be established", lambda: kubectl(*ask) == "True", timeout_s=30)

    def proof(**spec: int) -> str:
        return json.dumps({"apiVersion": "grpo.test/v1", "kind": "Proof", "metadata": {"name": "p"}, "spec": spec})

    refused = attempt("apply", "--server-side", "-f", "-", text=proof(learners=3, generators=2))
    assert "learners must be divisible by generators" in refused.stderr, refused.stderr
    kubectl("apply", "--server-side", "--field-manager=one", "-f", "-", text=proof(learners=4))
    conflict = attempt("apply", "--server-side", "--field-manager=two", "-f", "-", text=proof(learners=5))
    assert 'conflict with "one"' in conflict.stderr, conflict.stderr
    assert kubectl("get", "proofs.grpo.test", "p", "-o", "jsonpath={.spec}") == '{"generators":1,"learners":4}'
    kubectl("delete", "crd", "proofs.grpo.test")


def _proof_crd() -> Manifest:
    rule = {"rule": "self.learners % self.generators == 0", "message": "learners must be divisible by generators"}
    numbers = {"learners": {"type": "integer"}, "generators": {"type": "integer", "default": 1}}
    spec = {"type": "object", "properties": numbers, "x-kubernetes-validations": [rule]}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "proofs.grpo.test"},
        "spec": {
            "group": "grpo.test",
            "scope": "Namespaced",
            "names": {"kind": "Proof", "plural": "proofs"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
        },
    }


def helm_release() -> None:
    """helm installs a chart, which helm-unittest has tested"""
    with TemporaryDirectory() as folder:
        chart = Path(folder, "chart")
        (chart / "templates").mkdir(parents=True)
        (chart / "tests").mkdir()
        (chart / "Chart.yaml").write_text("{apiVersion: v2, name: chart, version: 0.1.0, kubeVersion: '>= 1.37.0'}\n")
        template = "{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, data: {release: {{ .Release.Name }}}}\n"
        (chart / "templates/c.yaml").write_text(template)
        test = "{it: names the release, release: {name: r}, asserts: [{equal: {path: data.release, value: r}}]}"
        (chart / "tests/c_test.yaml").write_text(f"suite: c\ntemplates: [c.yaml]\ntests: [{test}]\n")
        tested = run(binaries() / "helm-unittest", chart)
        assert "1 passed, 1 total" in tested, tested
        home = ["env", f"HELM_CACHE_HOME={folder}", f"HELM_CONFIG_HOME={folder}", f"HELM_DATA_HOME={folder}"]
        helm: list[str | Path] = [*home, binaries() / "helm", "--kubeconfig", KUBECONFIG, "--namespace", NAMESPACE]
        run(*helm, "install", "proven", chart)
        assert kubectl("get", "configmap", "c", "-o", "jsonpath={.data.release}") == "proven"
        run(*helm, "uninstall", "proven")


def node_loss() -> None:
    """a node without its network becomes NotReady, and Ready again"""
    node = "node2"
    module = [sys.executable, "-m", "cluster"]
    run(*module, "cut-off", node)
    kubectl("wait", "--for=condition=Ready=Unknown", f"node/{node}", "--timeout=120s")
    run(*module, "reconnect", node)
    kubectl("wait", "--for=condition=Ready", f"node/{node}", "--timeout=120s")


def simulated_nodes() -> None:
    """200 simulated nodes run 1,000 pods"""
    subprocess.run([sys.executable, "-m", "cluster", "fake-nodes", "200"], check=True)
    kubectl("wait", "--for=condition=Ready", "node", "-l", "type=kwok", "--timeout=120s")
    labels = {"app": "crowd"}
    spec = {
        "nodeSelector": {"type": "kwok"},
        "tolerations": [{"key": "kwok.x-k8s.io/node", "operator": "Exists"}],
        "containers": [{"name": "main", "image": "none", "resources": {"limits": {GPU: 1}}}],
    }
    template = {"metadata": {"labels": labels}, "spec": spec}
    crowd = {"replicas": 1000, "selector": {"matchLabels": labels}, "template": template}
    apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "crowd"}, "spec": crowd})
    kubectl("rollout", "status", "deployment/crowd", "--timeout=180s")
    kubectl("delete", "deployment", "crowd", "--cascade=foreground", "--timeout=180s")
    kubectl("delete", "node", "-l", "type=kwok")
