"""Every pod of a run, and the demo's own Job, pass the `restricted` Pod Security Standard."""

import copy
from typing import Any

import pytest

from harness.layout import MANIFESTS
from unit.desired_inputs import generator_template, learner_template, make_run
from unit.golden import SETTINGS, documents, read_sample, sample_files
from unit.pod_security import violations

TEMPLATES = (learner_template, generator_template)
CPU = {"learners": {"gpus": 0}, "generators": {"gpus": 0}}


@pytest.mark.parametrize("build", TEMPLATES)
@pytest.mark.parametrize("file", sample_files(), ids=lambda file: file.stem)
def test_pods_of_samples_are_restricted(file: Any, build: Any) -> None:
    assert violations(build(read_sample(file), SETTINGS)["spec"]) == []


def test_the_demos_data_job_is_restricted() -> None:
    (job,) = [manifest for manifest in documents(MANIFESTS / "demo-data.yaml") if manifest["kind"] == "Job"]
    assert violations(job["spec"]["template"]["spec"]) == []


# What of the security context has to be there: without it, or changed, the standard refuses the pod.
SPOILED = [
    ("securityContext.runAsNonRoot", None, ["runAsNonRoot of generator"]),
    ("securityContext.seccompProfile", None, ["seccompProfile of generator"]),
    ("securityContext.seccompProfile.type", "Unconfined", ["seccompProfile of generator"]),
    ("securityContext.runAsUser", 0, ["runAsUser of the pod"]),
    ("containers.0.securityContext.allowPrivilegeEscalation", None, ["allowPrivilegeEscalation of generator"]),
    ("containers.0.securityContext.capabilities", None, ["capabilities of generator"]),
    ("containers.0.securityContext.capabilities.add", ["IPC_LOCK"], ["capabilities of generator"]),
    ("containers.0.securityContext.privileged", True, ["privileged of generator"]),
    ("containers.0.ports.0.hostPort", 8000, ["hostPort of generator"]),
    ("containers.0.readinessProbe.httpGet.host", "example.com", ["host of a probe of generator"]),
    ("volumes.0.hostPath", {"path": "/"}, ["volume config"]),
    ("hostNetwork", True, ["hostNetwork"]),
]


@pytest.mark.parametrize(("path", "value", "faults"), SPOILED, ids=[entry[0] for entry in SPOILED])
def test_the_check_itself_finds_what_the_standard_refuses(path: str, value: Any, faults: list[str]) -> None:
    spec = copy.deepcopy(generator_template(make_run())["spec"])
    *parents, last = path.split(".")
    place = spec
    for key in parents:
        place = place[int(key)] if key.isdigit() else place[key]
    if value is None:
        del place[last]
    else:
        place[last] = value
    assert violations(spec) == faults


@pytest.mark.parametrize("build", TEMPLATES)
@pytest.mark.parametrize("spec", [{}, CPU], ids=["gpu", "cpu"])
def test_pods_hold_no_credentials_and_write_to_their_volumes_only(spec: Any, build: Any) -> None:
    template = build(make_run(**spec))["spec"]
    (container,) = template["containers"]
    assert template["automountServiceAccountToken"] is False
    assert template["enableServiceLinks"] is False
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert {mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")} == {
        "/volume",
        "/scratch",
        "/dev/shm",
    }
    pod_security = template["securityContext"]
    assert {pod_security[field] for field in ("runAsUser", "runAsGroup", "fsGroup")} == {65532}
    assert pod_security["fsGroupChangePolicy"] == "OnRootMismatch"
