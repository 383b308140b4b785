"""ConfigMaps with modules of reward functions. A pod that mounts one which is not there would wait for it without a word."""

from collections.abc import Collection
from typing import Final

from grpo_contract.labels import Role
from grpo_operator.api.run import GRPORun
from grpo_operator.desired.reward_code import config_maps
from grpo_operator.reconcile.reasons import Reason
from grpo_operator.reconcile.world import Children, Refusal

LOOK_AGAIN_S: Final = 5.0
"""They do not carry the run's label, so no watch tells of them."""


def config_maps_to_look_for(run: GRPORun, children: Children) -> list[str]:
    """Before the learners of an attempt are made; those that are there have theirs mounted."""
    return [] if children.job else [name for _, name in config_maps(run)]


def missing_code(run: GRPORun, missing: Collection[str]) -> list[Refusal]:
    """The run waits: with manifests that are applied together, it may come before its ConfigMap."""
    return [
        Refusal(Reason.REWARD_CODE_NOT_FOUND, _sentence(run, place, name), Role.LEARNER)
        for place, name in config_maps(run)
        if name in missing
    ]


def _sentence(run: GRPORun, place: int, name: str) -> str:
    return (
        f"spec.rewards.from[{place}].configMap.name {name!r}: namespace {run.metadata.namespace!r} has no ConfigMap of that "
        "name; create it, and the run goes on."
    )
