"""Trackers of `report_to` that the released images hold, and the package that each is."""

from typing import Any, Final

TRACKER_PACKAGES: Final = {"wandb": "wandb", "tensorboard": "tensorboardX", "trackio": "trackio"}
ALL_TRACKERS: Final = "all"
WANDB_SAYS_WHERE_TO: Final = ("WANDB_API_KEY", "WANDB_MODE")
"""Without one of these variables the run is kept on the volume."""
TRACKIO_SPACE: Final = "trackio_space_id"
TRACKIO_SPACE_VARIABLE: Final = "TRACKIO_SPACE_ID"


def reported_to(value: Any) -> list[str]:
    """What `report_to` names: one name, a list, or nothing."""
    names = value if isinstance(value, list) else [value] if value else []
    return [str(name) for name in names if name != "none"]
