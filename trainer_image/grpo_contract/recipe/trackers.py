"""Trackers of `report_to`: those that the released images hold, with the package that each is, and those that there are."""

from collections.abc import Mapping
from typing import Any, Final

from grpo_contract.recipe.unknown_keys import remedy_for

KEY: Final = "report_to"
KEYS: Final = (KEY,)
"""Of a recipe, which decide what is a mistake."""

TRACKER_PACKAGES: Final = {"wandb": "wandb", "tensorboard": "tensorboardX", "trackio": "trackio"}
ALL_TRACKERS: Final = "all"
OTHER_TRACKERS: Final = (
    "azure_ml", "clearml", "codecarbon", "comet_ml", "dagshub", "dvclive", "flyte", "kubeflow", "mlflow", "neptune", "swanlab",
)  # fmt: skip
"""That transformers tells, where an image holds their packages."""
WANDB_SAYS_WHERE_TO: Final = ("WANDB_API_KEY", "WANDB_MODE")
"""Without one of these variables the run is kept on the volume."""
TRACKIO_SPACE: Final = "trackio_space_id"
TRACKIO_SPACE_VARIABLE: Final = "TRACKIO_SPACE_ID"


def reported_to(value: Any) -> list[str]:
    """What `report_to` names: one name, a list, or nothing."""
    names = value if isinstance(value, list) else [value] if value else []
    return [str(name) for name in names if name != "none"]


def tracker_mistake(recipe: Mapping[str, Any]) -> str | None:
    """In one sentence."""
    known = (*TRACKER_PACKAGES, *OTHER_TRACKERS, ALL_TRACKERS)
    unknown = next((name for name in reported_to(recipe.get(KEY)) if name not in known), None)
    if unknown is None:
        return None
    remedy = remedy_for(unknown, known, "leave it out, since metrics are in Prometheus anyway.")
    return f"spec.recipe.{KEY} holds {unknown}, which is no tracker that transformers knows; {remedy}"
