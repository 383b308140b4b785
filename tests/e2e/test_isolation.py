"""Runs do not touch each other; strangers do not reach their pods."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from e2e.demo_runs import small_run
from e2e.namespaces import namespaces_with_volume
from grpo_contract.network import GENERATOR_HEALTH_PATH, GENERATOR_PORT, LEARNER_HTTP_PORT, METRICS_PATH
from harness.kubectl import Kubectl, Manifest
from harness.runs import ALL_KINDS, children, pods, wait_for_phase, wait_for_step
from harness.waiting import wait_for

STEPS = 3
ENDLESS = 500

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
class ThreeRuns:
    """At once: two in one namespace, and in another one of the same name as the first, whose steps do not end."""

    inside: Kubectl
    outside: Kubectl

    @property
    def ending(self) -> list[tuple[Kubectl, str]]:
        return [(self.inside, "two"), (self.outside, "one")]


@pytest.fixture(scope="module")
def runs(cluster: Kubectl, demo_namespace: Kubectl) -> Iterator[ThreeRuns]:
    with namespaces_with_volume(cluster, demo_namespace) as make_namespace:
        runs = ThreeRuns(make_namespace(), make_namespace())
        runs.inside.apply(small_run("one", ENDLESS))
        for kubectl, name in runs.ending:
            kubectl.apply(small_run(name, STEPS))
        yield runs


def test_only_the_run_reaches_its_generators(runs: ThreeRuns) -> None:
    inside = runs.inside
    wait_for_step(inside, "one", 1, timeout_s=600)
    (generator,), (learner,) = pods(inside, "one", "generator"), pods(inside, "one", "learner")
    address = f"http://{generator['status']['podIP']}:{GENERATOR_PORT}"

    answers = json.loads(run_in(inside, learner, PROBE, address))
    open_paths = {"get /health", "get /metrics", "get /ready"}
    assert {
        path: status for path, status in answers["without"].items() if status != 401 and path not in open_paths
    } == {}
    assert answers["with"] == answers["health"] == 200
    assert answers["wrong"] == 401
    assert len(answers["without"]) > 10

    guarded = [
        address + GENERATOR_HEALTH_PATH,
        f"http://{learner['status']['podIP']}:{LEARNER_HTTP_PORT}{METRICS_PATH}",
    ]
    unguarded = dns_ready_url(inside)
    for kubectl in (inside, runs.outside):
        # As long as a stranger tries, both answer the run's own pod: nothing but the policy keeps them from him.
        assert run_in(inside, learner, READ, *guarded).splitlines() == guarded
        assert reached_by_stranger(kubectl, unguarded, *guarded) == [unguarded]


def test_runs_do_not_touch_each_other(runs: ThreeRuns) -> None:
    """Those that end succeed; the other goes on until it is deleted, and takes nothing of them along."""
    with ThreadPoolExecutor() as pool:
        ended = list(pool.map(lambda entry: wait_for_phase(entry[0], entry[1], "Succeeded", 900), runs.ending))
    endless = wait_for_step(runs.inside, "one", STEPS)
    assert len({run["status"]["output"] for run in (*ended, endless)}) == 3
    assert [run["status"]["attempt"] for run in (*ended, endless)] == [1, 1, 1]
    assert owners(runs.inside, "one") == {endless["metadata"]["uid"]}

    runs.inside("delete", "grporun", "one", "--timeout=60s")
    wait_for("the end of its children", lambda: not children(runs.inside, "one", ALL_KINDS), 60)
    for (kubectl, name), run in zip(runs.ending, ended, strict=True):
        assert run["status"]["progress"]["step"] == STEPS
        assert owners(kubectl, name) == {run["metadata"]["uid"]}


def owners(kubectl: Kubectl, name: str) -> set[str]:
    """Uids of whose the children are that carry the run's name."""
    found = children(kubectl, name).values()
    return {owner["uid"] for child in found for owner in child["metadata"]["ownerReferences"]}


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
