"""One API server for all tests of this folder, with the CRD applied."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from api.client import ApiServer
from harness.control_plane import running_control_plane
from harness.crd import apply_crd, wait_for_storage
from harness.kubectl import Manifest, load_manifests
from harness.layout import CRD
from harness.waiting import wait_for

HERE = Path(__file__).parent
BASE_RUN = HERE / "base.yaml"


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    folder = tmp_path_factory.mktemp("control-plane")
    with pytest.MonkeyPatch.context() as environment, running_control_plane(folder) as kubectl:
        environment.setenv("KUBECACHEDIR", str(folder / "kubectl"))
        apply_crd(kubectl)
        wait_for_storage(kubectl)
        # kubectl explains fields by a document that follows the CRD a moment later.
        wait_for("OpenAPI", lambda: "GRPORun" in kubectl.attempt("explain", "grporun.spec").stdout, 30)
        yield ApiServer(kubectl)


@pytest.fixture
def base_run() -> Manifest:
    """A run that is accepted; patches of it are the test's cases."""
    (run,) = load_manifests(BASE_RUN)
    return run


@pytest.fixture(scope="session")
def crd() -> Manifest:
    (manifest,) = load_manifests(CRD)
    return manifest
