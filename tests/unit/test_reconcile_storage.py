"""StorageReady: what the claim's phase and access modes mean for a run, be the claim its own or the user's."""

import pytest

from grpo_operator.api.status import ConditionType
from grpo_operator.reconcile.storage import judge_storage, needs_users_claim
from unit.desired_inputs import make_run
from unit.observed_inputs import NAME, NOW, look, make_claim, said, then, written

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


@pytest.mark.parametrize("mode", [RWO, RWOP, ROX])
def test_the_message_names_modes_and_remedy(mode: str) -> None:
    claim = make_claim(f"{NAME}-volume", modes=(mode,))
    message = judge_storage(make_run(), None, claim, NOW).statement.message
    assert mode in message
    assert RWX in message


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
