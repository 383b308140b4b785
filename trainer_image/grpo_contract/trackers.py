"""Trackers of `report_to` that the released images hold, and the package that each is."""

from collections.abc import Mapping
from typing import Any, Final

TRACKER_PACKAGES: Final = {"wandb": "wandb", "tensorboard": "tensorboardX"}
ALL_TRACKERS: Final = "all"


def reported_to(recipe: Mapping[str, Any]) -> list[str]:
    """What `report_to` names; it may be one name or a list."""
    value = recipe.get("report_to") or []
    names = value if isinstance(value, list) else [value]
    return [str(name) for name in names if name != "none"]
