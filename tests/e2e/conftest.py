"""The local cluster with the operator installed by helm; namespaces that enforce the `restricted` Pod Security Standard."""

import itertools
from collections.abc import Iterator
from functools import partial

import pytest

from demo.volume import on_local_cluster, prepare_volume, wait_for_volume
from e2e.demo_runs import MakeNamespace
from harness.installation import (
    install_operator,
    load_operator_image,
    load_trainer_image,
    local_cluster,
    local_settings,
    start_local_cluster,
    tool_output,
)
from harness.kubectl import Kubectl, Manifest
from harness.prometheus import Prometheus
from harness.waiting import wait_for

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def cluster() -> Kubectl:
    start_local_cluster()
    load_trainer_image()
    load_operator_image()
    kubectl = local_cluster()
    install_operator(kubectl, *local_settings())
    return kubectl


@pytest.fixture(scope="session")
def prometheus(cluster: Kubectl) -> Prometheus:
    return Prometheus(tool_output("cluster", "prometheus-url"))


def create_namespace(cluster: Kubectl, name: str) -> Kubectl:
    if cluster.find("namespace", name):
        cluster("delete", "namespace", name, "--timeout=120s")
    cluster("create", "namespace", name)
    cluster("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    return cluster.within(name)


@pytest.fixture(scope="session")
def demo_namespace(cluster: Kubectl) -> Iterator[Kubectl]:
    """A namespace with the claim `demo`: the base model and the data of the demo lie on it."""
    kubectl = create_namespace(cluster, "e2e-demo")
    prepare_volume(kubectl, on_local_cluster)
    wait_for_volume(kubectl)
    yield kubectl
    cluster("delete", "namespace", "e2e-demo", "--timeout=120s")


@pytest.fixture
def make_namespace(cluster: Kubectl, demo_namespace: Kubectl) -> Iterator[MakeNamespace]:
    """Makes namespaces whose claim `demo` is the same folder as that of `demo_namespace`; they go with the test."""
    made: list[Kubectl] = []

    def make() -> Kubectl:
        name = f"e2e-{next(_numbers)}"
        kubectl = create_namespace(cluster, name)
        made.append(kubectl)
        cluster("delete", "pv", f"{name}-demo", "--ignore-not-found")  # of tests that were interrupted
        claim = demo_namespace.get("pvc", "demo")
        volume = cluster.get("pv", claim["spec"]["volumeName"])
        kubectl.apply(*same_folder(volume, claim, name))
        return kubectl

    yield make
    for kubectl in made:
        cluster("delete", "namespace", str(kubectl.namespace), "--wait=false")
        cluster("delete", "pv", f"{kubectl.namespace}-demo", "--ignore-not-found", "--wait=false")
    for kubectl in made:  # not the namespaces: their end takes ten seconds more, while nothing happens
        wait_for(f"the end of the pods of {kubectl.namespace}", partial(has_no_pods, kubectl), 120)


def has_no_pods(kubectl: Kubectl) -> bool:
    return not kubectl.find_all("pod")


@pytest.fixture
def namespace(make_namespace: MakeNamespace) -> Kubectl:
    return make_namespace()


def same_folder(volume: Manifest, claim: Manifest, namespace: str) -> list[Manifest]:
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
