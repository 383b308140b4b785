"""What the local cluster's provisioner makes of claims: which it serves, what it makes, what it removes and refuses."""

import time
from pathlib import Path
from typing import Any

from cluster.volume_claims import build_refusal, build_volume, released, unserved, unsupported_modes

Manifest = dict[str, Any]

WANTED_FROM = "volume.kubernetes.io/storage-provisioner"
SELECTED_NODE = "volume.kubernetes.io/selected-node"


def claim(
    provisioner: str = "grpo.test/shared", modes: tuple[str, ...] = ("ReadWriteMany",), **annotations: str
) -> Any:
    storage_class = provisioner.removeprefix("grpo.test/")
    return {
        "metadata": {
            "name": "run",
            "namespace": "team",
            "uid": "u-1",
            "annotations": {WANTED_FROM: provisioner, **annotations},
        },
        "spec": {
            "accessModes": list(modes),
            "storageClassName": storage_class,
            "resources": {"requests": {"storage": "5Gi"}},
        },
        "status": {"phase": "Pending"},
    }


def volume(provisioner: str = "grpo.test/shared", phase: str = "Released", policy: str = "Delete") -> Manifest:
    return {
        "metadata": {"name": "pvc-u-1", "annotations": {"pv.kubernetes.io/provisioned-by": provisioner}},
        "spec": {"persistentVolumeReclaimPolicy": policy},
        "status": {"phase": phase},
    }


def test_a_pending_claim_of_ours_is_served() -> None:
    assert unserved([claim()], []) == [claim()]


def test_claims_that_are_not_for_us_or_no_more_are_left_alone() -> None:
    bound, leaving, unclaimed = claim(), claim(), claim()
    bound["spec"]["volumeName"] = "pvc-u-1"
    leaving["metadata"]["deletionTimestamp"] = "2026-11-24T00:00:00Z"
    del unclaimed["metadata"]["annotations"]  # its class waits for the first pod, or it names a volume itself
    assert unserved([bound, leaving, unclaimed, claim("csi.example.com")], []) == []
    assert unserved([claim()], [volume(phase="Available")]) == []


def test_only_released_volumes_of_ours_are_removed() -> None:
    leaving = volume()
    leaving["metadata"]["deletionTimestamp"] = "2026-11-24T00:00:00Z"
    others = [volume(phase="Bound"), volume("csi.example.com"), volume(policy="Retain"), leaving]
    assert released([volume(), *others]) == [volume()]


def test_the_classes_differ_in_their_access_modes() -> None:
    both = ("ReadWriteOnce", "ReadWriteMany")
    assert unsupported_modes(claim(modes=both)) == []
    assert unsupported_modes(claim("grpo.test/single-node", modes=both)) == ["ReadWriteMany"]
    assert unsupported_modes(claim(modes=("ReadWriteOncePod",))) == ["ReadWriteOncePod"]


def test_the_volume_is_bound_to_its_claim_and_to_no_node() -> None:
    assert build_volume(claim(), Path("/volumes/pvc-u-1")) == {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": "pvc-u-1",
            "annotations": {"pv.kubernetes.io/provisioned-by": "grpo.test/shared"},
        },
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "capacity": {"storage": "5Gi"},
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": "team",
                "name": "run",
                "uid": "u-1",
            },
            "hostPath": {"path": "/volumes/pvc-u-1"},
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": "shared",
        },
    }


def test_a_volume_for_a_chosen_node_holds_its_pods_there() -> None:
    chosen = claim("grpo.test/single-node", modes=("ReadWriteOnce",), **{SELECTED_NODE: "node2"})
    affinity = build_volume(chosen, Path("/volumes/pvc-u-1"))["spec"]["nodeAffinity"]
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": ["node2"]}
    assert affinity == {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}}


def test_a_refusal_names_the_class_and_the_mode() -> None:
    event = build_refusal(claim("grpo.test/single-node"), ["ReadWriteMany"], time.gmtime(0))
    assert event["message"] == "storage class single-node does not offer ReadWriteMany"
    assert (event["type"], event["reason"], event["firstTimestamp"]) == (
        "Warning",
        "ProvisioningFailed",
        "1970-01-01T00:00:00Z",
    )
    assert event["involvedObject"]["name"] == "run"
