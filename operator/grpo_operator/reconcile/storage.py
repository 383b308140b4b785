"""Whether the run's volume can serve it. The claim is the user's own, or one that the operator made."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from grpo_operator.api.quantity import quantity
from grpo_operator.api.run import GRPORun
from grpo_operator.api.status import ConditionType
from grpo_operator.desired.volume import claim_name
from grpo_operator.reconcile.conditions import Statement, Truth, find
from grpo_operator.reconcile.observed import ObservedClaim, time_of
from grpo_operator.reconcile.reasons import Reason

CLAIM_GRACE_S: Final = 30.0
"""For manifests that are applied together, the run before its claim."""

LOOK_AGAIN_S: Final = 5.0
"""The user's claim does not carry the run's label, so no watch tells of it."""

BINDING_S: Final = 30.0
"""Most volumes are made in less; then somebody should look why."""

_SETTLED: Final = frozenset({Reason.BOUND, Reason.SINGLE_NODE_VOLUME})


@dataclass(frozen=True)
class StorageVerdict:
    statement: Statement
    may_start: bool
    is_hopeless: bool = False
    """No waiting helps: the run fails."""
    look_again_s: float | None = None


@dataclass(frozen=True)
class _Use:
    """What a run can do with a volume of some access mode."""

    can_work: bool
    reason: Reason
    sentence: str


_REMEDY: Final = "start another run with a storage class and accessModes for ReadWriteMany"
_USES: Final = {
    "ReadWriteMany": _Use(True, Reason.BOUND, "every pod can mount it."),
    "ReadWriteOnce": _Use(
        True,
        Reason.SINGLE_NODE_VOLUME,
        f"pods can only use it together on one node. To run on several, {_REMEDY}.",
    ),
    "ReadWriteOncePod": _Use(
        False, Reason.SINGLE_POD_VOLUME, f"one pod can use it, and a run has at least two: {_REMEDY}."
    ),
}
"""By access mode, the best first."""

_TAKEN_AS_IT_IS: Final = (
    ": a claim that is there is taken as it is. To have what the run asks for, enlarge the claim where its class allows that, "
    "or delete the run and the claim, with all that is saved there, and apply the run anew."
)

_READ_ONLY: Final = _Use(
    False, Reason.READ_ONLY_VOLUME, f"no pod can write to it, and learners write checkpoints and the model: {_REMEDY}."
)


def needs_users_claim(run: GRPORun, is_full_pass: bool) -> bool:
    """Whether to look at the claim that the user named: in each pass until there is a volume, then in full ones."""
    return run.spec.storage.claim_name is not None and (is_full_pass or not _is_settled(run))


def _is_settled(run: GRPORun) -> bool:
    condition = find(run.status.conditions, ConditionType.STORAGE_READY)
    return condition is not None and condition.reason in _SETTLED


def judge_storage(
    run: GRPORun, users_claim: ObservedClaim | None, own_claim: ObservedClaim | None, now: datetime
) -> StorageVerdict:
    name = run.spec.storage.claim_name
    if name is None:
        modes = own_claim.access_modes if own_claim else tuple(run.spec.storage.access_modes)
        return _judge_claim(run, own_claim, modes, now)
    if users_claim:
        return _judge_claim(run, users_claim, users_claim.access_modes, now)
    if _is_settled(run):
        return StorageVerdict(_repeat(run), may_start=True)
    is_hopeless = _seconds_since(run, Reason.CLAIM_NOT_FOUND, now) >= CLAIM_GRACE_S
    message = f"spec.storage.claimName {name!r}: namespace {run.metadata.namespace!r} has no PersistentVolumeClaim of that name; "
    message += "create it, or name another." if is_hopeless else f"create it within {CLAIM_GRACE_S:.0f} s."
    statement = _statement("False", Reason.CLAIM_NOT_FOUND, message)
    return StorageVerdict(statement, may_start=False, is_hopeless=is_hopeless, look_again_s=LOOK_AGAIN_S)


def _judge_claim(run: GRPORun, claim: ObservedClaim | None, modes: tuple[str, ...], now: datetime) -> StorageVerdict:
    """The phase says whether there is a volume, and the access modes what pods can do with it."""
    if claim and claim.phase == "Lost":
        message = f"The volume of PersistentVolumeClaim {claim.name} is gone; start a new run with another claim."
        return StorageVerdict(_statement("False", Reason.CLAIM_LOST, message), may_start=True)
    use = next((use for mode, use in _USES.items() if mode in modes), _READ_ONLY)
    with_modes = f"with {', '.join(modes)}"
    if not use.can_work:
        message = f"PersistentVolumeClaim {claim_name(run)} {with_modes}: {use.sentence}"
        return StorageVerdict(_statement("False", use.reason, message), may_start=False, is_hopeless=True)
    if claim is None or claim.phase == "Pending":
        return _judge_pending(run, claim, now)
    message = f"PersistentVolumeClaim {claim.name} is bound {with_modes}: {use.sentence}{_difference(run, claim)}"
    return StorageVerdict(_statement("True", use.reason, message), may_start=True)


def _judge_pending(run: GRPORun, claim: ObservedClaim | None, now: datetime) -> StorageVerdict:
    name, rest_s = claim_name(run), BINDING_S - _seconds_since(run, Reason.CLAIM_PENDING, now)
    message = f"PersistentVolumeClaim {name} has no volume yet: `kubectl describe pvc {name}` says what it waits for."
    if claim and rest_s <= 0:
        message = (
            f"PersistentVolumeClaim {name} has had no volume for more than {BINDING_S:.0f} s: `kubectl describe pvc {name}` "
            f"says why. Mostly {_usual_cause(claim)} ({_REMEDY}); a class that waits for a first pod needs one that fits a node."
        )
    if claim:
        message += _difference(run, claim)
    statement = _statement("Unknown", Reason.CLAIM_PENDING, message)
    is_watched = run.spec.storage.claim_name is None
    until_it_is_late_s = rest_s if rest_s > 0 else None
    return StorageVerdict(statement, may_start=True, look_again_s=until_it_is_late_s if is_watched else LOOK_AGAIN_S)


def _usual_cause(claim: ObservedClaim) -> str:
    if claim.storage_class is None:
        return "it has no storageClassName, and the cluster no default class"
    return (
        f"there is no class of its storageClassName {claim.storage_class!r}, or that class cannot make volumes with its "
        f"accessModes, {', '.join(claim.access_modes)}"
    )


def _difference(run: GRPORun, claim: ObservedClaim) -> str:
    """What a claim that an earlier run retained is otherwise than this one asks for, as a sentence. Nobody changes it: it
    may hold what is wanted most."""
    storage, differences = run.spec.storage, []
    if storage.size is not None and quantity(storage.size) != quantity(claim.size):
        differences.append(f"spec.storage.size is {storage.size!r}, and that of the claim {claim.size!r}")
    if storage.storage_class_name is not None and storage.storage_class_name != claim.storage_class:
        its = f"that of the claim {claim.storage_class!r}" if claim.storage_class else "the claim has none"
        differences.append(f"spec.storage.storageClassName is {storage.storage_class_name!r}, and {its}")
    return f" But {'; '.join(differences)}{_TAKEN_AS_IT_IS}" if differences else ""


def _statement(status: Truth, reason: Reason, message: str) -> Statement:
    return Statement(ConditionType.STORAGE_READY, status, reason, message)


def _repeat(run: GRPORun) -> Statement:
    """What was said of the claim before still holds."""
    condition = find(run.status.conditions, ConditionType.STORAGE_READY)
    assert condition is not None
    return Statement(condition.type, condition.status, condition.reason, condition.message)


def _seconds_since(run: GRPORun, reason: Reason, now: datetime) -> float:
    """Since this was said of the claim, if it is what was said last."""
    condition = find(run.status.conditions, ConditionType.STORAGE_READY)
    if condition is None or condition.reason != reason:
        return 0.0
    return (now - time_of(condition.last_transition_time)).total_seconds()
