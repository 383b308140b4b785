"""StorageReady: what the claim's phase and access modes mean for a run, be the claim its own or the user's."""

from datetime import timedelta

import pytest

from grpo_operator.api.run import GRPORun
from grpo_operator.api.status import ConditionType
from grpo_operator.reconcile.storage import BINDING_S, LOOK_AGAIN_S, StorageVerdict, judge_storage, needs_users_claim
from unit.desired_inputs import make_run
from unit.observed_inputs import (
    NAME,
    NOW,
    look,
    make_claim,
    make_condition,
    message,
    said,
    then,
    with_conditions,
    written,
)

STORAGE, FAILED = ConditionType.STORAGE_READY, ConditionType.FAILED

RWX, RWO, ROX, RWOP = "ReadWriteMany", "ReadWriteOnce", "ReadOnlyMany", "ReadWriteOncePod"

# modes, phase (None: no claim yet) -> status, reason, whether the run fails
TABLE: dict[tuple[tuple[str, ...], str | None], tuple[str, str, bool]] = {
    ((RWX,), None): ("Unknown", "ClaimPending", False),
    ((RWX,), "Pending"): ("Unknown", "ClaimPending", False),
    ((RWX,), "Bound"): ("True", "Bound", False),
    ((RWX,), "Lost"): ("False", "ClaimLost", False),
    ((RWO,), None): ("Unknown", "ClaimPending", False),
    ((RWO,), "Pending"): ("Unknown", "ClaimPending", False),
    ((RWO,), "Bound"): ("True", "SingleNodeVolume", False),
    ((RWO,), "Lost"): ("False", "ClaimLost", False),
    ((RWO, RWX), "Bound"): ("True", "Bound", False),
    ((ROX, RWO), "Bound"): ("True", "SingleNodeVolume", False),
    ((ROX,), None): ("False", "ReadOnlyVolume", True),
    ((ROX,), "Bound"): ("False", "ReadOnlyVolume", True),
    ((RWOP,), None): ("False", "SinglePodVolume", True),
    ((RWOP,), "Pending"): ("False", "SinglePodVolume", True),
    ((RWOP,), "Bound"): ("False", "SinglePodVolume", True),
}


@pytest.mark.parametrize("case", TABLE, ids=lambda case: f"{'+'.join(case[0])} {case[1]}")
@pytest.mark.parametrize("whose", ["own", "user's"])
def test_verdict(whose: str, case: tuple[tuple[str, ...], str | None]) -> None:
    modes, phase = case
    status, reason, is_hopeless = TABLE[case]
    if whose == "own":
        run = make_run(storage={"size": "1Gi", "accessModes": list(modes)})
        claim = make_claim(f"{NAME}-volume", phase, modes) if phase else None
        verdict = judge_storage(run, None, claim, NOW)
    else:
        run = make_run(storage={"claimName": "mine"})
        verdict = judge_storage(run, make_claim("mine", phase or "Pending", modes, owner=None, run=None), None, NOW)
    assert (verdict.statement.status, verdict.statement.reason) == (status, reason)
    assert (verdict.is_hopeless, verdict.may_start) == (is_hopeless, not is_hopeless)


@pytest.mark.parametrize("whose", ["own", "user's"])
def test_a_claim_that_stays_without_a_volume_gets_a_remedy(whose: str) -> None:
    run = make_run() if whose == "own" else make_run(storage={"claimName": "mine"})
    name = f"{NAME}-volume" if whose == "own" else "mine"

    def verdict(run: GRPORun, later_s: float) -> StorageVerdict:
        claim = make_claim(name, "Pending")
        own, users = (claim, None) if whose == "own" else (None, claim)
        return judge_storage(run, users, own, NOW + timedelta(seconds=later_s))

    first = verdict(run, 0)
    assert first.statement.message == (
        f"PersistentVolumeClaim {name} has no volume yet: `kubectl describe pvc {name}` says what it waits for."
    )
    assert first.look_again_s == (BINDING_S if whose == "own" else LOOK_AGAIN_S)
    pending = with_conditions(run, make_condition(STORAGE, "Unknown", "ClaimPending"))
    assert verdict(pending, BINDING_S - 1).statement == first.statement
    late = verdict(pending, BINDING_S)
    assert late.statement.message == (
        f"PersistentVolumeClaim {name} has had no volume for more than 30 s: `kubectl describe pvc {name}` says why. Mostly there "
        "is no class of its storageClassName 'standard', or that class cannot make volumes with its accessModes, ReadWriteMany "
        "(start another run with a storage class and accessModes for ReadWriteMany); a class that waits for a first pod needs one "
        "that fits a node."
    )
    assert (late.statement.status, late.may_start) == ("Unknown", True)
    assert late.look_again_s == (None if whose == "own" else LOOK_AGAIN_S)


def test_a_claim_without_a_class_may_wait_for_a_default_one() -> None:
    pending = with_conditions(make_run(), make_condition(STORAGE, "Unknown", "ClaimPending"))
    claim = make_claim(f"{NAME}-volume", "Pending", storage_class=None)
    verdict = judge_storage(pending, None, claim, NOW + timedelta(seconds=BINDING_S))
    assert "Mostly it has no storageClassName, and the cluster no default class (start" in verdict.statement.message


@pytest.mark.parametrize("mode", [RWO, RWOP, ROX])
def test_the_message_names_modes_and_remedy(mode: str) -> None:
    claim = make_claim(f"{NAME}-volume", modes=(mode,))
    message = judge_storage(make_run(), None, claim, NOW).statement.message
    assert mode in message
    assert RWX in message


AS_IT_IS = (
    ": a claim that is there is taken as it is. To have what the run asks for, enlarge the claim where its class allows that, "
    "or delete the run and the claim, with all that is saved there, and apply the run anew."
)

# spec.storage, size and class of the retained claim -> what is said of the difference
RETAINED: dict[str, tuple[dict[str, str], tuple[str, str | None], str]] = {
    "what was asked for": ({"size": "100Gi"}, ("100Gi", "standard"), ""),
    "the same size in other words": ({"size": "1024Gi", "storageClassName": "fast"}, ("1Ti", "fast"), ""),
    "the same size in fewer digits": ({"size": "0.5Gi"}, ("512Mi", "standard"), ""),
    "another size": (
        {"size": "1Ti"}, ("100Gi", "standard"), f" But spec.storage.size is '1Ti', and that of the claim '100Gi'{AS_IT_IS}",
    ),
    "another class": (
        {"size": "1Ti", "storageClassName": "fast"}, ("1Ti", "slow"),
        f" But spec.storage.storageClassName is 'fast', and that of the claim 'slow'{AS_IT_IS}",
    ),
    "no class, and another size": (
        {"size": "1Ti", "storageClassName": "fast"}, ("2Ti", None),
        " But spec.storage.size is '1Ti', and that of the claim '2Ti'; spec.storage.storageClassName is 'fast', and the claim "
        f"has none{AS_IT_IS}",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", RETAINED)
def test_a_retained_claim_of_another_size_or_class_is_named(case: str) -> None:
    storage, (size, storage_class), difference = RETAINED[case]
    claim = make_claim(f"{NAME}-volume", owner=None, size=size, storage_class=storage_class)
    plan = look(make_run(storage=storage | {"retain": True}), claim)
    assert said(plan, STORAGE) == ("True", "Bound")
    bound = f"PersistentVolumeClaim {NAME}-volume is bound with ReadWriteMany: every pod can mount it."
    assert message(plan, STORAGE) == bound + difference


def test_a_retained_claim_without_a_volume_is_compared_as_well() -> None:
    claim = make_claim(f"{NAME}-volume", "Pending", owner=None, size="100Gi")
    plan = look(make_run(storage={"size": "1Ti", "retain": True}), claim)
    assert message(plan, STORAGE).endswith(f" But spec.storage.size is '1Ti', and that of the claim '100Gi'{AS_IT_IS}")


def test_a_claim_of_the_users_is_not_compared() -> None:
    claim = make_claim("mine", owner=None, run=None, size="1Gi")
    assert "size" not in message(look(make_run(storage={"claimName": "mine"}), users_claim=claim), STORAGE)


def test_a_run_on_a_volume_of_one_node_is_well() -> None:
    run = make_run(storage={"size": "1Gi", "accessModes": [RWO]})
    assert f"Job/{NAME}-learner-1" in written(look(run))
    plan = look(run, make_claim(f"{NAME}-volume", modes=(RWO,)))
    assert said(plan, STORAGE) == ("True", "SingleNodeVolume")


@pytest.mark.parametrize(("mode", "reason"), [(RWOP, "SinglePodVolume"), (ROX, "ReadOnlyVolume")])
def test_a_volume_that_cannot_work_fails_the_run(mode: str, reason: str) -> None:
    plan = look(make_run(storage={"size": "1Gi", "accessModes": [mode]}))
    assert written(plan) == set()
    assert said(plan, FAILED) == ("True", reason)
    assert said(plan, STORAGE) == ("False", reason)


def test_the_users_claim_is_looked_at_until_it_is_bound_then_in_full_passes() -> None:
    run = make_run(storage={"claimName": "mine"})
    assert needs_users_claim(run, is_full_pass=False)
    pending = then(run, look(run, users_claim=make_claim("mine", "Pending", (RWO,), owner=None)))
    assert needs_users_claim(pending, is_full_pass=False)
    bound = then(run, look(run, users_claim=make_claim("mine", modes=(RWO,), owner=None)))
    assert not needs_users_claim(bound, is_full_pass=False)
    assert needs_users_claim(bound, is_full_pass=True)
    lost = look(bound, users_claim=make_claim("mine", "Lost", owner=None))
    assert said(lost, STORAGE) == ("False", "ClaimLost")
    assert not needs_users_claim(make_run(), is_full_pass=True)
