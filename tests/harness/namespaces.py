"""Namespaces for runs of the tests: they enforce the `restricted` Pod Security Standard."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from harness.kubectl import Kubectl, Manifest
from harness.outages import wait_through_outages

MakeNamespace = Callable[[], Kubectl]

_numbers = itertools.count(1)


def create_namespace(cluster: Kubectl, name: str) -> Kubectl:
    if cluster.find("namespace", name):
        cluster("delete", "namespace", name, "--timeout=120s")
    cluster("create", "namespace", name)
    cluster("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    return cluster.within(name)


@contextmanager
def namespaces_with_volume(cluster: Kubectl, original: Kubectl) -> Iterator[MakeNamespace]:
    """Makes namespaces whose claim `demo` is the same folder as that of `original`; they are removed in the end."""
    made: list[Kubectl] = []

    def make() -> Kubectl:
        name = f"e2e-{next(_numbers)}"
        kubectl = create_namespace(cluster, name)
        made.append(kubectl)
        cluster("delete", "pv", f"{name}-demo", "--ignore-not-found")  # of tests that were interrupted
        claim = wait_through_outages("a volume for the claim", lambda: _bound(original.get("pvc", "demo")), 60)
        volume = cluster.get("pv", claim["spec"]["volumeName"])
        kubectl.apply(*_same_folder(volume, claim, name))
        return kubectl

    try:
        yield make
    finally:  # also when a fixture fails that uses them: its pods would take the cores from later tests
        for kubectl in made:
            cluster("delete", "namespace", str(kubectl.namespace), "--wait=false")
            cluster("delete", "pv", f"{kubectl.namespace}-demo", "--ignore-not-found", "--wait=false")
        for kubectl in made:  # not the namespaces: their end takes ten seconds more, while nothing happens
            wait_through_outages(f"the end of the pods of {kubectl.namespace}", partial(_has_no_pods, kubectl), 120)


def _bound(claim: Manifest) -> Manifest | None:
    return claim if "volumeName" in claim["spec"] else None


def _has_no_pods(kubectl: Kubectl) -> bool:
    return not kubectl.find_all("pod")


def _same_folder(volume: Manifest, claim: Manifest, namespace: str) -> list[Manifest]:
    spec = {key: volume["spec"][key] for key in ("accessModes", "capacity", "hostPath")}
    name = f"{namespace}-demo"
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": name},
            "spec": {**spec, "storageClassName": "by-hand", "persistentVolumeReclaimPolicy": "Retain"},
        },
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "demo"},
            "spec": {
                "accessModes": claim["spec"]["accessModes"],
                "resources": claim["spec"]["resources"],
                "storageClassName": "by-hand",
                "volumeName": name,
            },
        },
    ]
