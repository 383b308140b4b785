"""The demo's volume: a claim, and the Job that makes the base model and the data on it (manifests/demo-data.yaml)."""

import copy
from collections.abc import Callable

from harness.installation import ROOT, trainer_image
from harness.kubectl import Kubectl, Manifest, load_manifests
from harness.waiting import wait_for

DATA = ROOT / "manifests" / "demo-data.yaml"
Adapt = Callable[[Manifest], Manifest]
JOB_DEADLINE_S = 900


def on_local_cluster(manifest: Manifest) -> Manifest:
    """Jobs of the local cluster run from this machine's environment instead of from an image of several GB."""
    adapted = copy.deepcopy(manifest)
    if adapted["kind"] == "Job":
        pod = adapted["spec"]["template"]["spec"]
        pod["runtimeClassName"] = "host-python"
        for container in pod["containers"]:
            container["image"] = trainer_image()
    return adapted


def prepare_volume(kubectl: Kubectl, adapt: Adapt) -> None:
    kubectl.apply(*(adapt(manifest) for manifest in load_manifests(DATA)))


def wait_for_volume(kubectl: Kubectl) -> None:
    wait_for_job(kubectl, "demo-data")


def wait_for_job(kubectl: Kubectl, name: str) -> None:
    """Wait until the Job is complete; a failed one ends the demo with its log."""

    def ended() -> str | None:
        conditions = kubectl.get("job", name).get("status", {}).get("conditions", [])
        return next((entry["type"] for entry in conditions if entry["type"] in ("Complete", "Failed")), None)

    if wait_for(f"the end of Job {name}", ended, JOB_DEADLINE_S) == "Failed":
        raise RuntimeError(f"Job {name} failed:\n{kubectl('logs', f'job/{name}', '--tail=30')}")


def job_like_data(name: str, command: list[str]) -> Manifest:
    """Another Job on the demo's volume, in the same image and under the same restrictions."""
    job = next(manifest for manifest in load_manifests(DATA) if manifest["kind"] == "Job")
    job["metadata"]["name"] = name
    job["spec"]["template"]["spec"]["containers"][0]["command"] = command
    return job
