"""The volume claim of a run: one of its own, or one that the user brought, which is never touched."""

from grpo_operator.api.run import GRPORun
from grpo_operator.desired import names
from grpo_operator.desired.manifest import Manifest, build_metadata


def claim_name(run: GRPORun) -> str:
    return run.spec.storage.claim_name or names.claim(run.metadata.name)


def build_claim(run: GRPORun) -> Manifest | None:
    """None when the run uses a claim of the user's. A claim to retain has no owner, so that it outlives the run."""
    storage = run.spec.storage
    if storage.claim_name:
        return None
    assert storage.size is not None, "the CRD asks for one of size and claimName"
    metadata = build_metadata(run, names.claim(run.metadata.name))
    if storage.retain:
        del metadata["ownerReferences"]
    spec: Manifest = {"accessModes": list(storage.access_modes), "resources": {"requests": {"storage": storage.size}}}
    if storage.storage_class_name is not None:
        spec["storageClassName"] = storage.storage_class_name
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}
