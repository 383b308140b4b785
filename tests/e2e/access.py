"""Who gets an answer from a run's pods: the run itself with its token, and what strangers are kept from."""

import json
from dataclasses import dataclass
from typing import Any

from grpo_contract.network import GENERATOR_HEALTH_PATH, GENERATOR_PORT, LEARNER_HTTP_PORT, METRICS_PATH
from harness.kubectl import Kubectl, Manifest

# Runs in a learner: every path of the generator's own API description, with and without the token.
PROBE = """
import json, sys, urllib.error, urllib.request
from pathlib import Path
base, token = sys.argv[1], Path("/etc/grpo-token/token").read_text().strip()
def status(path, method, headers):
    request = urllib.request.Request(base + path, method=method, headers=headers)
    try:
        return urllib.request.urlopen(request, timeout=20).status
    except urllib.error.HTTPError as error:
        return error.code
bearer = {"Authorization": f"Bearer {token}"}
whole = urllib.request.Request(base + "/openapi.json", headers=bearer)
description = json.load(urllib.request.urlopen(whole, timeout=20))
answers = {f"{method} {path}": status(path, method.upper(), {}) for path, methods in description["paths"].items() for method in methods}
print(json.dumps({"without": answers, "health": status("/health", "GET", {}), "with": status("/v1/models", "GET", bearer), "wrong": status("/v1/models", "GET", {"Authorization": "Bearer x"})}))
"""

# Runs in a learner too: prints those of its arguments that answer whoever asks, without a token.
READ = """
import sys, urllib.request
for url in sys.argv[1:]:
    with urllib.request.urlopen(url, timeout=5):
        print(url)
"""


@dataclass(frozen=True)
class Access:
    answers: dict[str, Any]
    """Of a generator to a learner of its run: status codes, see PROBE."""
    guarded: list[str]
    """URLs that answer whoever asks without a token; only the network policy keeps others from them."""
    unguarded: str
    """What every pod may read."""
    by_own: list[list[str]]
    """Which of the guarded ones answer a learner of the run, before each stranger tries."""
    by_strangers: list[list[str]]
    """Which of all answer a pod that belongs to no run, in each namespace."""


def look_at_access(namespaces: list[Kubectl], learner: Manifest, generator: Manifest) -> Access:
    """The pods are in the first namespace; a stranger tries from each."""
    inside = namespaces[0]
    address = f"http://{generator['status']['podIP']}:{GENERATOR_PORT}"
    guarded = [
        address + GENERATOR_HEALTH_PATH,
        f"http://{learner['status']['podIP']}:{LEARNER_HTTP_PORT}{METRICS_PATH}",
    ]
    unguarded = dns_ready_url(inside)
    access = Access(json.loads(run_in(inside, learner, PROBE, address)), guarded, unguarded, [], [])
    for kubectl in namespaces:
        access.by_own.append(run_in(inside, learner, READ, *guarded).splitlines())
        access.by_strangers.append(reached_by_stranger(kubectl, unguarded, *guarded))
    return access


def run_in(kubectl: Kubectl, pod: Manifest, script: str, *arguments: str) -> str:
    return kubectl("exec", pod["metadata"]["name"], "--", "python", "-c", script, *arguments)


def dns_ready_url(kubectl: Kubectl) -> str:
    """What every pod may read: that the stranger gets it shows that nothing else keeps it from the others."""
    (dns,) = kubectl.within("kube-system").find_all("pod", "k8s-app=kube-dns")
    return f"http://{dns['status']['podIP']}:8181/ready"


def reached_by_stranger(kubectl: Kubectl, *urls: str) -> list[str]:
    """Which of these answer a pod that belongs to no run within 5 s."""
    attempts = [f"timeout 5 wget -q -O /dev/null {url} && echo {url}" for url in urls]
    container = {
        "name": "stranger",
        "image": "grpo.test/busybox:1",
        "command": ["sh", "-c", "; ".join([*attempts, "true"])],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    user = {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}
    kubectl.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "stranger"},
            "spec": {
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 0,
                "securityContext": user,
                "containers": [container],
            },
        }
    )
    kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/stranger", "--timeout=60s")
    reached = kubectl("logs", "stranger", "--container=stranger").splitlines()
    kubectl("delete", "pod", "stranger", "--wait=true", "--grace-period=0", "--force")
    return [line for line in reached if line in urls]
