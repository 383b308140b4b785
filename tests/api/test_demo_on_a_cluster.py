"""What the demo takes for its own on a cluster of somebody else: on a real API server, which runs no pods."""

import json
from collections.abc import Iterator

import pytest

from api.client import ApiServer
from demo import __main__ as demo
from demo.__main__ import watch
from demo.current_cluster import (
    FLAGS,
    copy_pull_secrets,
    find_operators,
    has_own_release,
    is_own,
    provide_operator,
    remove_operator,
)
from demo.errors import DemoError
from demo.jobs import wait_for_job
from demo.namespace import MARK, NAMESPACE, build_namespace, is_made_by_demo, remove_namespace, renew_namespace
from demo.volume import job_like_data, like_learners, prepare_volume
from harness.installation import OPERATOR_NAMESPACE, RELEASE
from harness.kubectl import Kubectl, Manifest
from harness.layout import CHART

JOB = "demo-evaluate"
NOW = "2026-01-01T00:00:00Z"
CPU_IMAGE = "registry.example.com/ml/grpo-trainer-cpu:0.1.0"


@pytest.fixture
def kubectl(api_server: ApiServer) -> Iterator[Kubectl]:
    """Without operators, before and after."""
    kubectl = api_server.kubectl
    yield kubectl
    for operator in find_operators(kubectl):
        kubectl.within(operator.namespace).helm("uninstall", operator.release)


@pytest.fixture
def runs(kubectl: Kubectl) -> Iterator[None]:
    """None, so that an operator has nothing to look after."""
    kubectl("delete", "grporuns", "--all")
    yield
    kubectl("delete", "grporuns", "--all")


@pytest.fixture
def demo_namespace(kubectl: Kubectl) -> Kubectl:
    kubectl.apply(build_namespace())
    return kubectl.within(NAMESPACE)


def install(kubectl: Kubectl, namespace: str, release: str = RELEASE, *flags: str) -> None:
    """Without waiting for pods, which nobody starts here."""
    kubectl.within(namespace).helm(
        "install", release, str(CHART), "--create-namespace", "--skip-crds",
        "--set=imageRegistry=registry.example.com/ml", *flags,
    )  # fmt: skip


def say_it_runs(kubectl: Kubectl, namespace: str, name: str) -> None:
    patch = '{"status": {"replicas": 1, "readyReplicas": 1, "availableReplicas": 1}}'
    kubectl.within(namespace)("patch", "deployment", name, "--subresource=status", "--type=merge", f"--patch={patch}")


def versions(kubectl: Kubectl, namespace: str) -> dict[str, str]:
    found = kubectl.within(namespace).find_all("deployment,configmap,secret,serviceaccount")
    return {f"{item['kind']}/{item['metadata']['name']}": item["metadata"]["resourceVersion"] for item in found}


def test_no_operator_is_there(kubectl: Kubectl) -> None:
    assert find_operators(kubectl) == []
    assert not has_own_release(kubectl)
    assert remove_operator(kubectl) == "No operator was removed: the demo has installed none."


def test_a_foreign_operator_is_used_as_it_is_and_stays(kubectl: Kubectl) -> None:
    install(kubectl, OPERATOR_NAMESPACE)
    say_it_runs(kubectl, OPERATOR_NAMESPACE, RELEASE)
    before = versions(kubectl, OPERATOR_NAMESPACE)
    operator = provide_operator(kubectl, ["--set=replicas=2"])
    assert (operator.namespace, operator.name, is_own(kubectl, operator)) == (OPERATOR_NAMESPACE, RELEASE, False)
    assert operator.settings["learner"]["cpuImage"] == CPU_IMAGE
    assert remove_operator(kubectl) == "No operator was removed: the demo has installed none."
    assert versions(kubectl, OPERATOR_NAMESPACE) == before


def test_a_foreign_operator_of_any_name_and_namespace_is_found(kubectl: Kubectl) -> None:
    install(kubectl, "ml-ops", "training", "--set=nameOverride=grpo,fullnameOverride=trainer")
    (operator,) = find_operators(kubectl)
    assert (operator.namespace, operator.name, operator.release) == ("ml-ops", "trainer", "training")
    with pytest.raises(DemoError, match=r"describe deployment trainer`\. The demo leaves it as it is"):
        provide_operator(kubectl, [])


def test_the_demos_own_operator_goes(kubectl: Kubectl, runs: None) -> None:
    install(kubectl, OPERATOR_NAMESPACE, RELEASE, f"--labels={MARK}")
    (operator,) = find_operators(kubectl)
    assert is_own(kubectl, operator)
    assert remove_operator(kubectl).startswith("The operator that the demo installed is removed")
    assert find_operators(kubectl) == []
    assert not has_own_release(kubectl)


def test_the_demos_own_operator_stays_for_other_runs(
    kubectl: Kubectl, runs: None, api_server: ApiServer, base_run: Manifest
) -> None:
    install(kubectl, OPERATOR_NAMESPACE, RELEASE, f"--labels={MARK}")
    api_server.create(base_run | {"metadata": {"name": "somebodys"}})
    assert "stays, for it looks after default/somebodys; without it: helm uninstall" in remove_operator(kubectl)
    assert len(find_operators(kubectl)) == 1


def test_a_second_demo_keeps_what_the_first_has_set(kubectl: Kubectl) -> None:
    upgrade = ("upgrade", "--install", RELEASE, str(CHART), "--create-namespace", "--skip-crds", *FLAGS)
    inside = kubectl.within(OPERATOR_NAMESPACE)
    inside.helm(*upgrade, "--set=imageRegistry=registry.example.com/ml")
    inside.helm(*upgrade)
    (operator,) = find_operators(kubectl)
    assert is_own(kubectl, operator)
    assert operator.settings["learner"]["cpuImage"] == CPU_IMAGE


def test_an_upgrade_by_somebody_else_does_not_hide_who_installed_it(kubectl: Kubectl) -> None:
    install(kubectl, OPERATOR_NAMESPACE, RELEASE, f"--labels={MARK}")
    kubectl.within(OPERATOR_NAMESPACE).helm("upgrade", RELEASE, str(CHART), "--set=replicas=2")
    assert has_own_release(kubectl)


def test_a_foreign_release_without_its_operator_is_refused(kubectl: Kubectl) -> None:
    install(kubectl, OPERATOR_NAMESPACE)
    inside = kubectl.within(OPERATOR_NAMESPACE)
    inside("delete", "configmap", RELEASE)
    with pytest.raises(DemoError, match=f"^Helm release {RELEASE} of namespace {OPERATOR_NAMESPACE} has no operator"):
        provide_operator(kubectl, [])
    inside.helm("uninstall", RELEASE)


def test_a_foreign_namespace_is_refused_and_stays(kubectl: Kubectl, demo_namespace: Kubectl) -> None:
    kubectl("label", "namespace", NAMESPACE, "grpo.dev/made-by-")
    with pytest.raises(DemoError, match=f"^Namespace {NAMESPACE} exists and was not made by the demo"):
        renew_namespace(kubectl, is_local=False)
    assert remove_namespace(kubectl) == f"Namespace {NAMESPACE} stays: the demo did not make it."
    assert kubectl.get("namespace", NAMESPACE)["status"]["phase"] == "Active"
    kubectl.apply(build_namespace())
    assert is_made_by_demo(kubectl.get("namespace", NAMESPACE))


def test_what_an_earlier_demo_left_stays_when_there_can_be_no_other(
    kubectl: Kubectl, demo_namespace: Kubectl, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(kubectl, OPERATOR_NAMESPACE, RELEASE, "--set=watchNamespaces={default}")
    before = kubectl.get("namespace", NAMESPACE)
    monkeypatch.setattr(demo, "current_cluster", lambda: kubectl)
    with pytest.raises(DemoError, match=r"^No operator of this cluster looks after all namespaces"):
        demo.up(is_local=False)
    assert kubectl.get("namespace", NAMESPACE) == before


def test_pull_secrets_and_image_come_from_the_operator(kubectl: Kubectl, demo_namespace: Kubectl) -> None:
    pulled = [f"--set=podDefaults.{role}.spec.imagePullSecrets[0].name=registry" for role in ("learner", "generator")]
    injected = "--set=podDefaults.learner.spec.imagePullSecrets[1].name=everywhere"
    install(kubectl, "ml-ops", "training", *pulled, injected)
    login = ("--docker-server=registry.example.com", "--docker-username=u", "--docker-password=p")
    kubectl.within("ml-ops")("create", "secret", "docker-registry", "registry", *login)
    (operator,) = find_operators(kubectl)
    assert operator.pull_secrets == ["everywhere", "registry"]
    copy_pull_secrets(kubectl, operator)
    original = kubectl.within("ml-ops").get("secret", "registry")
    copied = demo_namespace.get("secret", "registry")
    assert (copied["type"], copied["data"]) == (original["type"], original["data"])
    assert demo_namespace.find("secret", "everywhere") is None

    prepare_volume(demo_namespace, like_learners(operator.settings))
    pod = demo_namespace.get("job", "demo-data")["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == CPU_IMAGE
    assert pod["imagePullSecrets"] == [{"name": "registry"}, {"name": "everywhere"}]


@pytest.fixture
def evaluation(demo_namespace: Kubectl) -> Iterator[Kubectl]:
    """Job demo-evaluate with a pod, as the Job controller would make it."""
    job = job_like_data(JOB, ["python"])
    labels = {"batch.kubernetes.io/job-name": JOB}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": JOB, "labels": labels}}
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    demo_namespace.apply(job, account, pod | {"spec": job["spec"]["template"]["spec"]})
    yield demo_namespace
    demo_namespace(
        "delete", f"job/{JOB}", f"pod/{JOB}", "--cascade=background", "--grace-period=0", "--force", "--wait=false"
    )


def patch_status(kubectl: Kubectl, what: str, status: Manifest) -> None:
    kubectl("patch", what, "--subresource=status", "--type=merge", f"--patch={json.dumps({'status': status})}")


def test_a_job_whose_image_cannot_be_had_ends_the_demo(evaluation: Kubectl) -> None:
    waiting = {"reason": "ImagePullBackOff", "message": "not found"}
    container = {"name": "prepare", "image": CPU_IMAGE, "imageID": "", "ready": False, "restartCount": 0}
    patch_status(evaluation, f"pod/{JOB}", {"containerStatuses": [container | {"state": {"waiting": waiting}}]})
    with pytest.raises(DemoError) as end:
        wait_for_job(evaluation, JOB)
    assert str(end.value) == (
        f"Job {JOB} cannot start: pod {JOB} cannot get image '{CPU_IMAGE}' (ImagePullBackOff: not found); its image is "
        "trainer.cpuImage of the operator's chart: build it with `docker build --target trainer-cpu` and push it; pull "
        "secrets and all else come from podDefaults.learner, the Secrets from the operator's namespace."
    )


def test_a_job_that_failed_ends_the_demo(evaluation: Kubectl) -> None:
    failed = {"status": "True", "reason": "BackoffLimitExceeded", "message": "it ended too often"}
    target = failed | {"type": "FailureTarget"}
    patch_status(evaluation, f"job/{JOB}", {"startTime": NOW, "conditions": [target]})
    patch_status(evaluation, f"job/{JOB}", {"conditions": [target, failed | {"type": "Failed"}]})
    with pytest.raises(DemoError, match=rf"^Job {JOB} failed \(it ended too often\)\. The end of its log:"):
        wait_for_job(evaluation, JOB)


def test_a_job_that_ends_well_lets_the_demo_go_on(evaluation: Kubectl) -> None:
    criteria = {"type": "SuccessCriteriaMet", "status": "True"}
    patch_status(evaluation, f"job/{JOB}", {"startTime": NOW, "conditions": [criteria]})
    complete = {"type": "Complete", "status": "True"}
    patch_status(evaluation, f"job/{JOB}", {"succeeded": 1, "completionTime": NOW, "conditions": [criteria, complete]})
    wait_for_job(evaluation, JOB)


def test_a_run_is_shown_until_it_has_ended(api_server: ApiServer, base_run: Manifest) -> None:
    api_server.create(base_run | {"metadata": {"name": "watched"}})
    shown: list[str] = []

    def show(run: Manifest) -> None:
        shown.append(run["status"]["phase"])
        api_server.patch_status("watched", {"phase": "Succeeded"})

    api_server.patch_status("watched", {"phase": "Running"})
    assert watch(api_server.kubectl, "watched", show)["status"]["phase"] == "Succeeded"
    assert shown == ["Running", "Succeeded"]


def test_a_run_without_end_ends_the_demo(
    api_server: ApiServer, base_run: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    api_server.create(base_run | {"metadata": {"name": "endless"}})
    monkeypatch.setattr("demo.__main__.RUN_DEADLINE_S", 0)
    with pytest.raises(DemoError, match=r"^The run did not end within 0 s: see `kubectl -n grpo-demo describe grpo"):
        watch(api_server.kubectl, "endless", lambda run: None)
