"""One control plane for all tests of this folder, and an operator for each file that wants one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.kubectl import Kubectl
from simulated.cluster import simulated_cluster
from simulated.operator_process import Operator, operator_kubeconfig, running_operator
from simulated.runs import name_of_a_run


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("simulated")


@pytest.fixture(scope="session")
def kubectl(folder: Path) -> Iterator[Kubectl]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("KUBECACHEDIR", str(folder / "kubectl"))  # by default it is named after the port
        with simulated_cluster(folder) as kubectl:
            yield kubectl


@pytest.fixture(scope="session")
def kubeconfig(kubectl: Kubectl, folder: Path) -> Path:
    return operator_kubeconfig(kubectl, folder)


@pytest.fixture(scope="module")
def operator(kubeconfig: Path, folder: Path) -> Iterator[Operator]:
    """One that acts on news alone: its full pass is an hour away."""
    with running_operator(kubeconfig, folder, fullPassS=3600, progressIntervalS=1) as operator:
        yield operator


@pytest.fixture
def name(kubectl: Kubectl) -> Iterator[str]:
    with name_of_a_run(kubectl) as name:
        yield name
