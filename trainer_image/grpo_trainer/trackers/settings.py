"""Which trackers a recipe asks for, and which of those are told in a process of their own."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from grpo_contract.recipe.trackers import ALL_TRACKERS, TRACKER_PACKAGES, reported_to

TRACKIO_DIR: Final = "TRACKIO_DIR"


def own_trackers(recipe: Mapping[str, Any]) -> list[str]:
    """Of those that `report_to` names, the ones that this package tells."""
    names = reported_to(recipe.get("report_to"))
    wanted = TRACKER_PACKAGES if ALL_TRACKERS in names else [name for name in names if name in TRACKER_PACKAGES]
    return [name for name in wanted if find_spec(TRACKER_PACKAGES[name])]


def other_trackers(recipe: Mapping[str, Any], available: Sequence[str]) -> list[str]:
    """Those that transformers tells in the training process: an image of the user's may hold more than ours does."""
    own, names = own_trackers(recipe), reported_to(recipe.get("report_to"))
    wanted = available if ALL_TRACKERS in names else names
    return [name for name in wanted if name not in own]


def environment_of(recipe: Mapping[str, Any], folder: Path, pods: Mapping[str, str]) -> dict[str, str]:
    """Of the trackers' process, beside the pod's own.

    Open-R1's keys are W&B's environment variables, and win over the pod's. Trackio reads where its database is once, when it
    is imported.
    """
    of_wandb = ("wandb_entity", "wandb_project", "wandb_run_group")
    said = {key.upper(): recipe[key] for key in of_wandb if recipe.get(key)}
    return said | ({} if pods.get(TRACKIO_DIR) else {TRACKIO_DIR: str(folder / "trackio")})
