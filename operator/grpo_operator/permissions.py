"""All that the operator may do at the API server: the chart's roles are generated from this table.

Nothing is asked for that no code uses, and no verb or resource is a wildcard.
"""

from dataclasses import dataclass
from typing import Final

from grpo_operator.resources import (
    CLAIM,
    CONFIG_MAP,
    DEPLOYMENT,
    EVENT,
    GRPORUN,
    JOB,
    LEASE,
    NETWORK_POLICY,
    POD,
    SECRET,
    SERVICE,
)


@dataclass(frozen=True)
class Permission:
    group: str
    """Empty for the core group."""
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    why: str
    in_operator_namespace: bool = False
    """True: needed only where the operator itself runs; false: wherever there are runs."""


WATCH: Final = ("list", "watch")
APPLY: Final = ("create", "patch")
"""Server-side apply of an object that may not exist yet needs both."""

PERMISSIONS: Final = (
    Permission(
        GRPORUN.group,
        (GRPORUN.plural,),
        (*WATCH, "get", "delete"),
        "to see the runs; ended ones go by ttlSecondsAfterFinished",
    ),
    Permission(GRPORUN.group, (f"{GRPORUN.plural}/status",), ("patch",), "to report on them"),
    Permission(
        GRPORUN.group,
        (f"{GRPORUN.plural}/finalizers",),
        ("update",),
        "to be allowed to set blockOwnerDeletion where OwnerReferencesPermissionEnforcement is on",
    ),
    Permission(
        "",
        (CONFIG_MAP.plural,),
        (*WATCH, "get", *APPLY),
        "created, then applied; whether those of rewards.from are there",
    ),
    Permission("", (SERVICE.plural,), (*WATCH, *APPLY), "children that are applied"),
    Permission(NETWORK_POLICY.group, (NETWORK_POLICY.plural,), (*WATCH, *APPLY), "children that are applied"),
    Permission(
        DEPLOYMENT.group, (DEPLOYMENT.plural,), (*WATCH, *APPLY, "delete"), "generators; removed when the run has ended"
    ),
    Permission("", (SECRET.plural,), (*WATCH, "get", "create"), "the token between the pods of a run, created once"),
    Permission("", (CLAIM.plural,), (*WATCH, "get", "create"), "the volume, created once or the user's own"),
    Permission(JOB.group, (JOB.plural,), (*WATCH, "get", "create", "delete"), "learners; earlier attempts are removed"),
    Permission(
        "", (POD.plural,), (*WATCH, "delete"), "to say what ails a pod; generators that are held back are replaced"
    ),
    Permission("", (f"{POD.plural}/log",), ("get",), "the last lines of a pod that failed"),
    Permission(EVENT.group, (EVENT.plural,), ("create",), "to tell what happened to a run"),
    Permission(
        LEASE.group,
        (LEASE.plural,),
        ("get", "create", "update"),
        "so that one replica of the operator works at a time",
        in_operator_namespace=True,
    ),
)
