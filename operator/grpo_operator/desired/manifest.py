"""What every child of a run has in common: its metadata, and the reference by which the cluster removes it."""

from typing import Any

from grpo_contract.labels import ROLE_LABEL, RUN_LABEL, RUN_UID_LABEL, Role
from grpo_operator.api.run import API_VERSION, KIND, GRPORun
from grpo_operator.desired.names import labels_of

Manifest = dict[str, Any]


def build_metadata(run: GRPORun, name: str, role: Role | None = None) -> Manifest:
    return {
        "name": name,
        "namespace": run.metadata.namespace,
        "labels": labels_of(run.metadata.name, role),
        "ownerReferences": [owner_reference(run)],
    }


def selector_of(run: GRPORun, role: Role) -> dict[str, str]:
    """Tells the pods of one role of one run from all others of the namespace, those that a deleted run of the same name
    has left included. A Deployment's selector cannot change."""
    return {RUN_LABEL: run.metadata.name, RUN_UID_LABEL: run.metadata.uid, ROLE_LABEL: role.value}


def role_of(manifest: Manifest) -> Role | None:
    """None for what both roles share."""
    role = manifest["metadata"]["labels"].get(ROLE_LABEL)
    return Role(role) if role else None


def owner_reference(run: GRPORun) -> Manifest:
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "name": run.metadata.name,
        "uid": run.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
