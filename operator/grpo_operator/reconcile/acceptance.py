"""Whether a run can be started as it is written: what only the operator can know of it before any pod runs."""

from collections.abc import Iterable, Mapping

from grpo_contract.owned_keys import owned_keys
from grpo_operator.api.run import GRPORun
from grpo_operator.api.status import ConditionType
from grpo_operator.desired.children import Child
from grpo_operator.desired.recipe import todays_recipe
from grpo_operator.reconcile.changes import ref_of
from grpo_operator.reconcile.conditions import Statement, is_true
from grpo_operator.reconcile.observed import ObservedChild, Ref
from grpo_operator.reconcile.reasons import Reason
from grpo_operator.reconcile.world import Refusal

ACCEPTED = Statement(ConditionType.ACCEPTED, "True", Reason.ACCEPTED, "The run can be started as it is written.")


def judge_recipe(run: GRPORun) -> Statement | None:
    """None when the recipe leaves to the operator what is the operator's."""
    messages = owned_keys(todays_recipe(run.spec)[0])
    if not messages:
        return None
    return Statement(ConditionType.ACCEPTED, "False", Reason.OWNED_KEY, " ".join(messages))


def taken_names(wanted: Iterable[Child], foreign: Mapping[Ref, ObservedChild]) -> list[Refusal]:
    """Children that cannot be written because somebody else's object has their name."""
    return [name_taken(*ref) for ref in map(ref_of, wanted) if ref in foreign]


def name_taken(kind: str, name: str) -> Refusal:
    return Refusal(
        Reason.NAME_TAKEN,
        f"{kind} {name} exists and does not belong to this run, by owner or by label: delete or rename it, or give the "
        "run another name. (What a deleted run of the same name left goes by itself.)",
    )


def refused_child(kind: str, name: str, server_says: str) -> Refusal:
    return Refusal(
        Reason.CHILD_REFUSED,
        f"The API server refused {kind} {name} of this run ({server_says.rstrip('.')}): "
        "correct the field that it names, or lift the quota or policy. It is tried again every minute.",
    )


def judge_refusals(run: GRPORun, refusals: Iterable[Refusal]) -> Statement | None:
    """A run that was accepted once stays so: then a refusal stops its progress, not its acceptance."""
    first = next(iter(refusals), None)
    if first is None:
        return None
    was_accepted = is_true(run.status.conditions, ConditionType.ACCEPTED)
    condition_type = ConditionType.PROGRESSING if was_accepted else ConditionType.ACCEPTED
    return Statement(condition_type, "False", first.reason, first.message)
