"""Which claims want a folder, which folders are left over, and the objects for both: pure functions, no requests.

Provisioner `shared` offers what a network file system does; `single-node` is a local disk: ReadWriteOnce, on the node
where the scheduler put the first pod.
"""

import time
from collections.abc import Iterable
from pathlib import Path

from cluster.layout import Manifest

ACCESS_MODES = {
    "grpo.test/shared": ("ReadWriteMany", "ReadWriteOnce"),
    "grpo.test/single-node": ("ReadWriteOnce",),
}
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
# Set by the volume controller when a class wants a volume from us, and by the scheduler when it has chosen a node.
WANTED_FROM, SELECTED_NODE = "volume.kubernetes.io/storage-provisioner", "volume.kubernetes.io/selected-node"


def unserved(claims: Iterable[Manifest], volumes: Iterable[Manifest]) -> list[Manifest]:
    """The claims that wait for a volume of ours and have none yet."""
    names = {volume["metadata"]["name"] for volume in volumes}
    return [
        claim
        for claim in claims
        if _annotation(claim, WANTED_FROM) in ACCESS_MODES
        and not claim["spec"].get("volumeName")
        and "deletionTimestamp" not in claim["metadata"]
        and volume_name(claim) not in names
    ]


def released(volumes: Iterable[Manifest]) -> list[Manifest]:
    """Our volumes whose claim is gone and that are not being deleted already."""
    return [
        volume
        for volume in volumes
        if _annotation(volume, PROVISIONED_BY) in ACCESS_MODES
        and volume["status"].get("phase") == "Released"
        and volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete"
        and "deletionTimestamp" not in volume["metadata"]
    ]


def volume_name(claim: Manifest) -> str:
    return f"pvc-{claim['metadata']['uid']}"


def unsupported_modes(claim: Manifest) -> list[str]:
    return sorted(set(claim["spec"]["accessModes"]) - set(ACCESS_MODES[_annotation(claim, WANTED_FROM)]))


def build_volume(claim: Manifest, folder: Path) -> Manifest:
    spec: Manifest = {
        "accessModes": claim["spec"]["accessModes"],
        "capacity": {"storage": claim["spec"]["resources"]["requests"]["storage"]},
        "claimRef": _reference(claim),
        "hostPath": {"path": str(folder)},
        "persistentVolumeReclaimPolicy": "Delete",
        "storageClassName": claim["spec"]["storageClassName"],
    }
    if node := _annotation(claim, SELECTED_NODE):
        here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
        spec["nodeAffinity"] = {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}}
    annotations = {PROVISIONED_BY: _annotation(claim, WANTED_FROM)}
    metadata = {"name": volume_name(claim), "annotations": annotations}
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": metadata, "spec": spec}


def build_refusal(claim: Manifest, modes: Iterable[str], now: time.struct_time) -> Manifest:
    """The Warning event that says why a claim stays Pending."""
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", now)
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{volume_name(claim)}.refused", "namespace": claim["metadata"]["namespace"]},
        "involvedObject": _reference(claim),
        "type": "Warning",
        "reason": "ProvisioningFailed",
        "message": f"storage class {claim['spec']['storageClassName']} does not offer {', '.join(modes)}",
        "source": {"component": _annotation(claim, WANTED_FROM)},
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
    }


def _reference(claim: Manifest) -> Manifest:
    metadata = {key: claim["metadata"][key] for key in ("namespace", "name", "uid")}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", **metadata}


def _annotation(manifest: Manifest, name: str) -> str:
    value: str = manifest["metadata"].get("annotations", {}).get(name, "")
    return value
