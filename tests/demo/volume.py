"""The demo's volume: a claim, and the Job that makes the base model and the data on it (manifests/demo-data.yaml)."""

import copy
from collections.abc import Callable

from demo.jobs import wait_for_job
from grpo_operator.desired.pod_template import merged
from harness.installation import trainer_image
from harness.kubectl import Kubectl, Manifest, load_manifests
from harness.layout import MANIFESTS

DATA = MANIFESTS / "demo-data.yaml"
Adapt = Callable[[Manifest], Manifest]


def on_local_cluster(manifest: Manifest) -> Manifest:
    """Jobs of the local cluster run from this machine's environment instead of from an image of several GB."""
    adapted = copy.deepcopy(manifest)
    if adapted["kind"] == "Job":
        pod = adapted["spec"]["template"]["spec"]
        pod["runtimeClassName"] = "host-python"
        for container in pod["containers"]:
            container["image"] = trainer_image()
    return adapted


def like_learners(settings: Manifest) -> Adapt:
    """Jobs in what the operator gives to learners on CPU: their image, and its pod template with pull secrets and nodes.

    `settings` is the operator's settings file. Containers that it puts beside a learner would keep a Job from ending.
    """
    template = settings["learner"]["podTemplate"]
    spec = {key: value for key, value in template.get("spec", {}).items() if key != "containers"}
    beside_spec = {key: value for key, value in template.items() if key != "spec"}
    of_learner = [entry for entry in template.get("spec", {}).get("containers", []) if entry["name"] == "learner"]
    image = {"image": settings["learner"]["cpuImage"], "imagePullPolicy": settings["imagePullPolicy"]}

    def adapt(manifest: Manifest) -> Manifest:
        if manifest["kind"] != "Job":
            return manifest
        job = copy.deepcopy(manifest)
        (container,) = job["spec"]["template"]["spec"]["containers"]
        layers = [image, *of_learner]
        partial = {
            **beside_spec,
            "spec": {**spec, "containers": [{**layer, "name": container["name"]} for layer in layers]},
        }
        job["spec"]["template"] = merged(job["spec"]["template"], partial)
        return job

    return adapt


def prepare_volume(kubectl: Kubectl, adapt: Adapt) -> None:
    kubectl.apply(*(adapt(manifest) for manifest in load_manifests(DATA)))


def wait_for_volume(kubectl: Kubectl) -> None:
    wait_for_job(kubectl, "demo-data")


def job_like_data(name: str, command: list[str]) -> Manifest:
    """Another Job on the demo's volume, in the same image and under the same restrictions."""
    job = next(manifest for manifest in load_manifests(DATA) if manifest["kind"] == "Job")
    job["metadata"]["name"] = name
    job["spec"]["template"]["spec"]["containers"][0]["command"] = command
    return job
