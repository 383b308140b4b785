"""The local cluster with the operator installed by helm, and what several files of tests need on it."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from demo.volume import on_local_cluster, prepare_volume, wait_for_volume
from e2e import packed_image
from harness.alerts import load_alert_rules, prometheus_with_alerts
from harness.installation import (
    install_operator,
    load_operator_image,
    load_trainer_image,
    local_cluster,
    local_settings,
    start_local_cluster,
)
from harness.kubectl import Kubectl
from harness.namespaces import create_namespace, namespaces_with_volume
from harness.prometheus import Prometheus

DEMO_NAMESPACE = "e2e-demo"


@pytest.fixture(scope="session")
def cluster() -> Iterator[Kubectl]:
    """The base model is being made on it, which takes a minute, while the operator comes."""
    start_local_cluster()
    load_trainer_image()
    kubectl = local_cluster()
    load_alert_rules(kubectl)
    prepare_volume(create_namespace(kubectl, DEMO_NAMESPACE), on_local_cluster)
    load_operator_image()
    install_operator(kubectl, *local_settings())
    yield kubectl
    kubectl("delete", "namespace", DEMO_NAMESPACE, "--timeout=120s")


@pytest.fixture(scope="session")
def prometheus(cluster: Kubectl) -> Prometheus:
    return prometheus_with_alerts()


@pytest.fixture(scope="session")
def demo_claim(cluster: Kubectl) -> Kubectl:
    """The namespace with the claim `demo`, for tests that need a volume and nothing on it."""
    return cluster.within(DEMO_NAMESPACE)


@pytest.fixture(scope="session")
def demo_namespace(demo_claim: Kubectl) -> Kubectl:
    """The same when the base model and the data of the demo lie on the claim."""
    wait_for_volume(demo_claim)
    return demo_claim


@pytest.fixture(scope="module")
def namespace(cluster: Kubectl, demo_namespace: Kubectl) -> Iterator[Kubectl]:
    """One for the runs of a file, with the demo's volume."""
    with namespaces_with_volume(cluster, demo_namespace) as make:
        yield make()


def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """First the files that do not need the base model, while it is being made."""
    items.sort(key=lambda item: "demo_namespace" in item.fixturenames)


@pytest.fixture(scope="session", autouse=True)
def image_on_its_way(request: pytest.FixtureRequest, cluster: Kubectl) -> Iterator[Future[None] | None]:
    """The image that some test wants is built and loaded, which takes minutes, while tests before it wait for pods."""
    if not any("image" in test.fixturenames for test in request.session.items if isinstance(test, pytest.Function)):
        yield None
        return
    with ThreadPoolExecutor(max_workers=1) as pool:
        yield pool.submit(packed_image.load)


@pytest.fixture
def image(image_on_its_way: Future[None]) -> Iterator[str]:
    """Its name, on the node that has it."""
    image_on_its_way.result(timeout=packed_image.DEADLINE_S)
    yield packed_image.NAME
    packed_image.unload()
