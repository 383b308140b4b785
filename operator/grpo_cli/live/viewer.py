"""The pod that shows the completions of a run whose learners are gone. Pure: a run, and the Job of its learners, to a manifest."""

from collections.abc import Mapping
from typing import Any, Final

from grpo_contract import files
from grpo_contract.labels import API_GROUP, Role
from grpo_contract.network import PAGE_PORT
from grpo_operator.api.run import API_VERSION, KIND
from grpo_operator.desired import names
from grpo_operator.desired.pods import container_security, environment_of, mounts_of_run, pod_security, volumes_of_run

Manifest = Mapping[str, Any]

CONTAINER: Final = "page"
PAGE_OF_LABEL: Final = f"{API_GROUP}/page-of"
"""Not the label by which the operator watches: it is no pod of the run's."""
LIVES_S: Final = 8 * 3600
"""It is removed by who started it. One that was forgotten ends by itself."""
OF_LEARNERS: Final = ("imagePullSecrets", "nodeSelector", "runtimeClassName", "securityContext", "tolerations")
"""What lets their pods pull the image and read the volume lets this one."""


def build_viewer(run: Manifest, learners: Manifest | None, image: str | None) -> dict[str, Any]:
    """`learners`: their Job, if there is one. `image`: instead of theirs.

    Raises:
        ValueError: neither says what to run.
    """
    metadata = run["metadata"]
    like: Manifest = learners["spec"]["template"]["spec"] if learners else {}
    theirs: Manifest = next((entry for entry in like.get("containers", ()) if entry["name"] == Role.LEARNER), {})
    if not (image or theirs):
        raise ValueError(
            f"grporun/{metadata['name']} has no learners, whose image shows completions, as it has not started or is "
            "suspended; name the image with --image."
        )
    claim = run["spec"].get("storage", {}).get("claimName") or names.claim(metadata["name"])
    spec = {
        "restartPolicy": "Never",
        "activeDeadlineSeconds": LIVES_S,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": pod_security(),
        **{field: like[field] for field in OF_LEARNERS if field in like},
        "containers": [_container(metadata["name"], image or theirs["image"], theirs)],
        "volumes": volumes_of_run(metadata["name"], claim, read_only=True),
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": f"{metadata['name']}-page-",
            "namespace": metadata["namespace"],
            "labels": {PAGE_OF_LABEL: metadata["name"]},
            "ownerReferences": [
                {"apiVersion": API_VERSION, "kind": KIND, "name": metadata["name"], "uid": metadata["uid"]}
            ],
        },
        "spec": spec,
    }


def _container(run_name: str, image: str, theirs: Manifest) -> dict[str, Any]:
    return {
        "name": CONTAINER,
        "image": image,
        **{field: theirs[field] for field in ("imagePullPolicy",) if field in theirs},
        "command": ["python", "-m", "grpo_page"],
        "workingDir": str(files.SCRATCH),
        "env": environment_of(run_name, on_cpu=True),
        "ports": [{"name": CONTAINER, "containerPort": PAGE_PORT}],
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}},
        "securityContext": container_security(),
        "volumeMounts": mounts_of_run(read_only=True),
    }
