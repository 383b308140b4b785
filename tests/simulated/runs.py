"""Runs on simulated nodes, and the fates of their pods, which a test writes into the pods' status."""

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from harness.kubectl import Kubectl, Manifest
from harness.runs import SOON_S, children
from harness.waiting import wait_for

NUMBERS = itertools.count(1)
RECIPE = {"model_name_or_path": "m", "dataset_name": "d", "reward_funcs": ["accuracy"]}


@contextmanager
def name_of_a_run(kubectl: Kubectl) -> Iterator[str]:
    """A new one; the run is deleted in the end."""
    name = f"run-{next(NUMBERS)}"
    yield name
    kubectl("delete", "grporun", name, "--ignore-not-found")
    wait_for(f"the end of {name}", lambda: not children(kubectl, name), 60)
    kubectl("delete", "pv", f"{name}-volume", "--ignore-not-found", "--wait=false")


def run_manifest(name: str, **spec: Any) -> Manifest:
    """Two learners and two generators on CPU; `spec` replaces whole fields."""
    usual = {
        "recipe": RECIPE,
        "learners": {"replicas": 2, "gpus": 0},
        "generators": {"replicas": 2, "gpus": 0},
        "storage": {"size": "1Gi"},
    }
    return {
        "apiVersion": "grpo.dev/v1alpha1",
        "kind": "GRPORun",
        "metadata": {"name": name},
        "spec": usual | spec,
    }


def start_run(kubectl: Kubectl, name: str, **spec: Any) -> Manifest:
    """Apply a run, give it a volume, and wait until its pods are ready."""
    assert kubectl.namespace is not None
    kubectl.apply(volume(f"{name}-volume", kubectl.namespace), run_manifest(name, **spec))
    return wait_for(f"ready pods of {name}", lambda: _with_ready_pods(kubectl, name), SOON_S, 0.1)


def volume(claim: str, namespace: str = "default") -> Manifest:
    """What a provisioner would make for the claim."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": claim},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteMany"],
            "hostPath": {"path": "/nowhere"},
            "claimRef": {"namespace": namespace, "name": claim},
        },
    }


def change(kubectl: Kubectl, name: str, **spec: Any) -> None:
    kubectl("patch", "grporun", name, "--type=merge", "--patch", json.dumps({"spec": spec}))


def end_pod(kubectl: Kubectl, pod: Manifest, exit_code: int, message: str = "", reason: str = "Error") -> None:
    """As the kubelet reports that the pod's container has ended and will not be started again."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    ended = {"exitCode": exit_code, "reason": reason, "message": message, "startedAt": now, "finishedAt": now}
    _patch_status(
        kubectl,
        pod,
        {
            "phase": "Failed" if exit_code else "Succeeded",
            "conditions": [{"type": "Ready", "status": "False", "reason": "PodFailed", "lastTransitionTime": now}],
            "containerStatuses": [_container(pod) | {"ready": False, "state": {"terminated": ended}}],
        },
    )


def disrupt_pod(kubectl: Kubectl, pod: Manifest) -> None:
    """As the taint manager reports a pod of a node that is gone."""
    fail_pod(
        kubectl, pod, conditions=[{"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager"}]
    )


def exceed_deadline(kubectl: Kubectl, pod: Manifest) -> None:
    """As the kubelet reports a pod that has run for spec.activeDeadlineSeconds."""
    words = "Pod was active on the node longer than the specified deadline"
    fail_pod(kubectl, pod, reason="DeadlineExceeded", message=words)


def fail_pod(kubectl: Kubectl, pod: Manifest, **status: Any) -> None:
    """Its container is killed. `status` wins."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    ended = {"exitCode": 137, "reason": "Error", "startedAt": now, "finishedAt": now}
    containers = [_container(pod) | {"ready": False, "state": {"terminated": ended}}]
    _patch_status(kubectl, pod, {"phase": "Failed", "containerStatuses": containers} | status)


def delete_pod(kubectl: Kubectl, pod: Manifest) -> None:
    """As a person deletes it: its container gets SIGTERM and ends by it."""
    kubectl("delete", "pod", pod["metadata"]["name"], "--wait=false")
    end_pod(kubectl, pod, 143)


def give_address(kubectl: Kubectl, pod: Manifest, address: str) -> None:
    _patch_status(kubectl, pod, {"podIP": address, "podIPs": [{"ip": address}]})


def keep_waiting(
    kubectl: Kubectl, pod: Manifest, reason: str, message: str, last_ended: Manifest | None = None, restarts: int = 0
) -> None:
    """As the kubelet reports a container that it cannot start, or not again."""
    state = {"waiting": {"reason": reason, "message": message}}
    last_state = {"terminated": last_ended} if last_ended else {}
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    _patch_status(
        kubectl,
        pod,
        {
            "phase": "Pending",
            "conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": now}],
            "containerStatuses": [
                _container(pod) | {"ready": False, "state": state, "lastState": last_state, "restartCount": restarts}
            ],
        },
    )


def lose_readiness(kubectl: Kubectl, pod: Manifest) -> None:
    """As the kubelet reports that the container runs and that its readiness probe fails now."""
    started, now = (
        (datetime.now(UTC) - age).strftime("%Y-%m-%dT%H:%M:%SZ") for age in (timedelta(minutes=1), timedelta())
    )
    _patch_status(
        kubectl,
        pod,
        {
            "conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": now}],
            "containerStatuses": [_container(pod) | {"ready": False, "state": {"running": {"startedAt": started}}}],
        },
    )


def _container(pod: Manifest) -> Manifest:
    container = pod["spec"]["containers"][0]
    return {"name": container["name"], "image": container["image"], "imageID": "", "restartCount": 0}


def _patch_status(kubectl: Kubectl, pod: Manifest, status: Manifest) -> None:
    patch = json.dumps({"status": status})
    kubectl("patch", "pod", pod["metadata"]["name"], "--subresource=status", "--type=merge", "--patch", patch)


def _with_ready_pods(kubectl: Kubectl, name: str) -> Manifest | None:
    """When the cluster's own controllers have nothing left to write either."""
    run = kubectl.get("grporun", name)
    status, wanted = run.get("status", {}), [run["spec"][role]["replicas"] for role in ("learners", "generators")]
    if [status.get(role, {}).get("ready", 0) for role in ("learners", "generators")] != wanted:
        return None
    job = kubectl.get("job", f"{name}-learner-{status['attempt']}")["status"]
    deployment = kubectl.get("deployment", f"{name}-generator")["status"]
    return run if [job.get("ready", 0), deployment.get("availableReplicas", 0)] == wanted else None
