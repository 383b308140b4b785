"""Trackio: a database on the volume, or a Space of the hub where the recipe names one and there is a token."""

import logging
import os
from typing import Any, Final

import httpx
import trackio
from huggingface_hub import get_token

from grpo_contract.recipe.trackers import TRACKIO_SPACE, TRACKIO_SPACE_VARIABLE
from grpo_trainer.trackers.records import Record, Start, tracked

STEP: Final = "train/global_step"
PROJECT: Final = "huggingface"
"""transformers' default."""
REFUSALS: Final = (OSError, ValueError, RuntimeError, httpx.HTTPError)
"""No token, no right, no such name, a Space that is frozen, a hub that does not answer."""

log = logging.getLogger(__name__)


class TrackioRun:
    def __init__(self, start: Start) -> None:
        self.run: Any = begin(start, start.config.get(TRACKIO_SPACE) or os.environ.pop(TRACKIO_SPACE_VARIABLE, None))

    def log(self, record: Record) -> None:
        tables = {}
        if record.completions is not None:
            columns = list(record.completions)
            rows = [list(row) for row in zip(*record.completions.values(), strict=True)]
            tables["completions"] = trackio.Table(columns=columns, data=rows)
        self.run.log({**tracked(record.values), STEP: record.step, **tables}, step=record.step)

    def finish(self) -> None:
        self.run.finish()


def begin(start: Start, space: str | None) -> Any:
    """Where the Space does not take it, the run is kept on the volume."""
    if space is None:
        return open_run(start)
    if get_token() is None:
        return without_space(start, f"there is no HF_TOKEN for the Space {space}")
    try:
        return open_run(start, space_id=space, bucket_id=start.config.get("trackio_bucket_id"))
    except REFUSALS as error:
        return without_space(start, f"{type(error).__name__}: {error}")


def without_space(start: Start, why: str) -> Any:
    log.warning("trackio: %s. The run is kept in %s: `trackio sync` sends it.", why, trackio.utils.TRACKIO_DIR)
    return open_run(start)


def open_run(start: Start, **space: Any) -> Any:
    """One run for all attempts. What the machine does is Prometheus' to tell."""
    return trackio.init(
        project=start.config.get("project") or PROJECT,
        name=start.name,
        resume="allow",
        config=dict(start.config),
        private=start.config.get("hub_private_repo"),
        auto_log_cpu=False,
        auto_log_gpu=False,
        embed=False,
        **space,
    )
